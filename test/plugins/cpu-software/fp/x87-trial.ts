/** One x87 instruction on a random state, run by us and by the host, brought to the same shape. */

import { f32, f64, f80 } from '../../../../src/plugins/cpu-software/fp/format.ts'
import {
  FP_STATE,
  type FpCpu,
  getFcw,
  getFsw,
  getFtw,
  getSt,
  hasPendingException,
  resetFpState,
  setFcw,
  setFsw,
  setFtw,
  setPhysical,
} from '../../../../src/plugins/cpu-software/fp/state.ts'
import { x87Instructions } from '../../../../src/plugins/cpu-software/fp/x87.ts'
import type { FpOutcome, X87Operand } from '../../../../src/plugins/cpu-software/fp/x87-execution.ts'
import { ROWS } from '../../../../src/plugins/cpu-software/isa/table.ts'
import { fxImage, readFx } from '../../../host-oracle/fx-image.ts'
import { CODE_ADDRESS, type HostCase, type HostResult, MEMORY_ADDRESS } from '../../../host-oracle/oracle.ts'
import { operand, operandPair, type Source } from './operands.ts'
import type { X87Encoding } from './x87-forms.ts'

export interface X87Trial {
  readonly encoding: X87Encoding
  readonly i: number
  readonly fcw: number
  readonly fsw: number
  readonly ftw: number
  readonly st: readonly bigint[]
  readonly memory: bigint
  readonly eflags: number
}

export interface X87After {
  readonly fault: boolean
  readonly fcw: number
  readonly fsw: number
  readonly ftw: number
  readonly st: readonly bigint[]
  readonly memory: bigint
  readonly ax: bigint
  readonly eflags: number
  readonly fop: number
  readonly fip: bigint
  readonly fdp: bigint
}

const FLAGS = 0x8d5
const OLD_MEMORY = 0xa5a5_a5a5_a5a5_a5a5_a5a5n
const BITS_OF_INT = { m16: 16, m32: 32, m64: 64 } as const

function memoryOperand(s: Source, encoding: X87Encoding): bigint {
  switch (encoding.memory) {
    case 'f32':
      return operand(s, f32)
    case 'f64':
      return operand(s, f64)
    case 'f80':
      return operand(s, f80)
    case 'int': {
      const bits = BITS_OF_INT[encoding.form.split(' ')[1] as keyof typeof BITS_OF_INT]
      return BigInt.asUintN(bits, BigInt.asIntN(bits, s.bits(bits)) >> BigInt(s.below(bits)))
    }
    case 'bcd': {
      let value = s.bits(8)
      for (let i = 0; i < 18; i++) value = (value << 4n) | BigInt(s.below(10))
      return value
    }
    case 'fcw':
      return s.bits(16)
    default:
      return 0n
  }
}

/** State in which most registers are in use and half of the time every exception is masked. */
export function randomTrial(s: Source, encoding: X87Encoding): X87Trial {
  const masks = s.below(2) === 0 ? 0x3f : s.below(64)
  const fcw = 0x40 | masks | (s.pick([0, 2, 3, 3, 3]) << 8) | (s.below(4) << 10)
  const old = s.below(4) === 0 ? s.below(64) & (s.below(8) === 0 ? 0x3f : masks) : 0
  const pending = (old & ~masks) !== 0 ? 0x8080 : 0
  const conditions = s.below(16) & 7
  const fsw =
    old |
    pending |
    (conditions << 8) |
    (s.below(2) << 14) |
    (s.below(8) << 11) |
    (s.below(4) === 0 ? 0x40 : 0)
  const [a, b] = operandPair(s, f80)
  const st = [a, b, ...Array.from({ length: 6 }, () => operand(s, f80))]
  const pushes = /^(FLD|FILD|FBLD|FPTAN|FSINCOS|FXTRACT)/.test(encoding.form) && s.below(4) !== 0
  const seventh = 1 << ((((fsw >> 11) & 7) + 7) & 7)
  const ftw = (s.below(4) === 0 ? s.below(256) : 0xff) & (pushes ? ~seventh : 0xff)
  return {
    encoding,
    i: encoding.takesI ? s.pick([0, 1, 1, 1, 2, s.below(8)]) : 0,
    fcw,
    fsw,
    ftw,
    st,
    memory: memoryOperand(s, encoding),
    eflags: 2 | (s.below(4096) & FLAGS),
  }
}

function codeOf(x: X87Trial): number[] {
  const { opcode, digit, second } = x.encoding
  if (digit !== undefined) return [opcode, (digit << 3) | 7]
  return second === undefined ? [opcode] : [opcode, second + x.i]
}

const little = (n: bigint, bytes: number): Uint8Array =>
  Uint8Array.from({ length: bytes }, (_, i) => Number((n >> BigInt(8 * i)) & 255n))
const number = (bytes: Uint8Array): bigint => bytes.reduceRight((n, byte) => (n << 8n) | BigInt(byte), 0n)

export function hostCase(x: X87Trial): HostCase {
  const bytes = x.encoding.memory === undefined ? little(OLD_MEMORY, 10) : little(x.memory, 10)
  return {
    code: Uint8Array.from(codeOf(x)),
    gpr: [0n, 0n, 0n, 0n, 0n, 0n, 0n, BigInt(MEMORY_ADDRESS)],
    rflags: BigInt(x.eflags) | 0x200n,
    fx: fxImage(x),
    memory: { offset: 0, bytes },
  }
}

export function hostAfter(h: HostResult): X87After {
  const fx = readFx(h.fx)
  return {
    fault: h.vector === 16,
    fcw: fx.fcw,
    fsw: fx.fsw,
    ftw: fx.ftw,
    st: fx.st,
    memory: number(h.memory),
    ax: h.gpr[0]!,
    eflags: Number(h.rflags) & FLAGS,
    fop: fx.fop,
    fip: fx.fip,
    fdp: fx.fdp,
  }
}

/** A fresh CPU in the trial's state. */
export function cpuOf(x: Omit<X87Trial, 'encoding' | 'i' | 'memory' | 'eflags'>): FpCpu {
  const cpu = { view: new DataView(new ArrayBuffer(FP_STATE.bytes)), base: 0 }
  resetFpState(cpu)
  setFcw(cpu, x.fcw)
  setFsw(cpu, x.fsw)
  setFtw(cpu, x.ftw)
  for (const [i, value] of x.st.entries()) setPhysical(cpu, ((x.fsw >> 11) + i) & 7, value)
  return cpu
}

export function ourAfter(x: X87Trial): X87After {
  const instruction = x87Instructions.get(x.encoding.form)
  if (instruction === undefined) throw new Error(`${x.encoding.form} is not in the table`)
  const row = ROWS.find((r) => r.form === x.encoding.form)
  const memoryOperand = row?.operands[0]
  const bits = memoryOperand?.memWidth ?? 0
  const cpu = cpuOf(x)
  const [first, second = 0] = codeOf(x)
  const fault = instruction.waits && hasPendingException(cpu)
  const operand: X87Operand = {
    i: x.i,
    memory: memoryOperand?.access === 'r' ? BigInt.asUintN(bits, x.memory) : 0n,
    eflags: x.eflags,
    pointers: {
      opcode: () => ((first! & 7) << 8) | second,
      cs: 0,
      ip: BigInt(CODE_ADDRESS),
      ...(x.encoding.digit === undefined ? {} : { data: { ds: 0, address: BigInt(MEMORY_ADDRESS) } }),
    },
  }
  const outcome: FpOutcome = fault ? {} : instruction.run(cpu, operand)
  const toAx = x.encoding.form === 'FNSTSW AX'
  const before = x.encoding.memory === undefined ? OLD_MEMORY : x.memory
  const keep = (before >> BigInt(bits)) << BigInt(bits)
  return {
    fault,
    fcw: getFcw(cpu),
    fsw: getFsw(cpu),
    ftw: getFtw(cpu),
    st: Array.from({ length: 8 }, (_, i) => getSt(cpu, i)),
    memory: outcome.store === undefined || toAx ? before : keep | outcome.store,
    ax: toAx ? (outcome.store ?? 0n) : 0n,
    eflags: outcome.eflags ?? x.eflags & FLAGS,
    fop: cpu.view.getUint16(FP_STATE.fop, true),
    fip: cpu.view.getBigUint64(FP_STATE.fip, true),
    fdp: cpu.view.getBigUint64(FP_STATE.fdp, true),
  }
}

/** Names of the parts in which two outcomes differ. */
export function differences(a: X87After, b: X87After): string[] {
  return (Object.keys(a) as (keyof X87After)[]).filter((key) => String(a[key]) !== String(b[key]))
}

export function describe(x: X87Trial, host: X87After, ours: X87After): string {
  const hex = (value: unknown): string =>
    Array.isArray(value) ? value.map(hex).join(' ') : (value as number | bigint).toString(16)
  const parts = differences(host, ours).map(
    (key) => `${key}: host ${hex(host[key as never])} ours ${hex(ours[key as never])}`,
  )
  return (
    `i ${x.i} fcw ${hex(x.fcw)} fsw ${hex(x.fsw)} ftw ${hex(x.ftw)} mem ${hex(x.memory)} st ${hex(x.st)} ` +
    `eflags ${hex(x.eflags)}\n   ${parts.join('\n   ')}`
  )
}

const COMPARES = /^F(U|I)?COM|^FTST/
const ES = 0x80
const C1 = 0x200
const C320 = 0x4500

/**
 * Without what processors do differently. An unmasked exception of a comparison leaves conditions (or RFLAGS) alone
 * on Intel and writes "unordered" on AMD; FCOMI clears C1 on Intel only; the last-instruction pointers are kept for
 * every instruction or, by what the processor says in CPUID, only for those with an unmasked exception.
 */
export function withoutVendorChoices(x: X87Trial, after: X87After): X87After {
  const compares = COMPARES.test(x.encoding.form)
  const trapped = (after.fsw & ES) !== 0 && !after.fault
  const ignored = (compares && trapped ? C320 : 0) | (x.encoding.form.includes('COMI') ? C1 : 0)
  const pointers = trapped && !PRESERVING.test(x.encoding.form) ? {} : { fop: 0, fip: 0n, fdp: 0n }
  return { ...after, fsw: after.fsw & ~ignored, eflags: compares && trapped ? 0 : after.eflags, ...pointers }
}

/** Forms after which ES may be set without their having raised anything. */
const PRESERVING = /^FLDCW|^FNSTCW|^FNSTSW/
