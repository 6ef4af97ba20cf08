/** Compares what the software CPU and the host made of trials, and says where they differ. */
import { FLAG } from '../../../src/plugins/cpu-software/isa/row.ts'
import { readFx } from '../../host-oracle/fx-image.ts'
import { COMPLETED, GPR, type HostResult } from '../../host-oracle/oracle.ts'
import type { Trial } from './trials.ts'

const STATUS = FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF | FLAG.OF
const VISIBLE = STATUS | FLAG.DF | FLAG.TF | FLAG.NT | FLAG.RF | FLAG.AC | FLAG.ID
const PAGE_FAULT = 14
const REGISTER_NAMES = Object.keys(GPR)

/** Flags that the row leaves undefined for this trial's operand values. */
export function undefinedFlags(trial: Trial): number {
  const { row } = trial
  const { undefined: maybe, computed } = row.flags
  const always = maybe & ~computed
  const byValue = maybe & computed
  if (byValue === 0) return always
  const width = row.opSize
  const count = shiftCount(trial) & (width === 64 ? 63 : 31)
  // A count of zero changes nothing at all; OF means something for one only.
  if (count === 0) return 0
  let open = always
  if (count !== 1) open |= byValue & FLAG.OF
  open |= byValue & FLAG.AF
  if (/^SH[LR]$/.test(row.mnemonic) && count >= width) open |= byValue & FLAG.CF
  return open
}

function shiftCount(trial: Trial): number {
  const last = trial.args.at(-1)
  return typeof last === 'string' ? Number(trial.case.gpr![1]! & 255n) : Number(BigInt(last as bigint) & 255n)
}

const hex = (n: bigint | number): string => `0x${BigInt.asUintN(64, BigInt(n)).toString(16)}`
const hexBytes = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** CMPS with neither string mapped: which of the two faults is for the processor to choose (of AMD's, some take one, some the other). */
function isEitherString(trial: Trial, ours: HostResult, host: HostResult): boolean {
  if (trial.row.mnemonic !== 'CMPS' || ours.vector !== PAGE_FAULT || host.vector !== PAGE_FAULT) return false
  const mask = (1n << BigInt(trial.options.addrSize ?? trial.mode)) - 1n
  const strings = [GPR.rsi, GPR.rdi].map((n) => host.gpr[n]! & mask)
  return strings.includes(ours.cr2) && strings.includes(host.cr2)
}

/** Differences in words; empty if the two agree. `vectors`: the x87, MMX and SSE state counts too. */
export function differences(trial: Trial, ours: HostResult, host: HostResult, vectors: boolean): string[] {
  const found: string[] = []
  const check = (what: string, a: bigint | number, b: bigint | number): void => {
    if (BigInt(a) !== BigInt(b)) found.push(`${what} ${hex(a)}, host ${hex(b)}`)
  }
  check('vector', ours.vector, host.vector)
  // Addresses of the kernel half are present or not as the host's kernel has it.
  const ignored = host.vector === 14 && host.cr2 >> 63n !== 0n ? 1 : 0
  check('error code', ours.errorCode | ignored, host.errorCode | ignored)
  if (!isEitherString(trial, ours, host)) check('cr2', ours.cr2, host.cr2)
  check('rip', ours.ripOffset, host.ripOffset)
  const registers = trial.mode === 32 ? 8 : 16
  for (let n = 0; n < registers; n++) check(REGISTER_NAMES[n]!, ours.gpr[n]!, host.gpr[n]!)
  const open = ours.vector === COMPLETED ? undefinedFlags(trial) : 0
  const visible = VISIBLE & ~open
  check('flags', Number(ours.rflags) & visible, Number(host.rflags) & visible)
  if (hexBytes(ours.memory) !== hexBytes(host.memory))
    found.push(`memory ${hexBytes(ours.memory)}, host ${hexBytes(host.memory)}`)
  if (vectors) compareVectors(ours, host, check)
  return found
}

function compareVectors(
  ours: HostResult,
  host: HostResult,
  check: (what: string, a: bigint, b: bigint) => void,
): void {
  const [a, b] = [readFx(ours.fx), readFx(host.fx)]
  for (const name of ['fcw', 'fsw', 'ftw', 'mxcsr'] as const) check(name, BigInt(a[name]), BigInt(b[name]))
  for (let n = 0; n < 8; n++) check(`st${n}`, a.st[n]! & ((1n << 64n) - 1n), b.st[n]! & ((1n << 64n) - 1n))
  for (let n = 0; n < 8; n++) check(`st${n} exponent`, a.st[n]! >> 64n, b.st[n]! >> 64n)
  for (let n = 0; n < 16; n++) {
    check(`xmm${n} low`, a.xmm[n]! & ((1n << 64n) - 1n), b.xmm[n]! & ((1n << 64n) - 1n))
    check(`xmm${n} high`, a.xmm[n]! >> 64n, b.xmm[n]! >> 64n)
  }
}

/** One line that lets a failure be run again by hand. */
export function describeTrial(trial: Trial): string {
  const { row, mode, args, options } = trial
  const prefix = `${options.lock === true ? 'LOCK ' : ''}${options.rep === undefined ? '' : `REP ${options.rep.toString(16)} `}`
  const registers = trial.case.gpr!.map((v, n) => `${REGISTER_NAMES[n]}=${v.toString(16)}`).join(' ')
  const operands = JSON.stringify(args, (_, v: unknown) => (typeof v === 'bigint' ? `${v}` : v))
  return `${prefix}${row.form} (${row.encoding.text}), ${mode}-bit ${operands}, bytes ${hexBytes(trial.case.code)}, flags ${trial.case.rflags!.toString(16)}, ${registers}, memory at +${trial.case.memory!.offset} ${hexBytes(trial.case.memory!.bytes)}`
}

/** Runs trials on both and groups what differs by form: at most a few examples each. */
export function disagreements(
  trials: readonly Trial[],
  ours: readonly HostResult[],
  host: readonly HostResult[],
  vectors = false,
): Map<string, string[]> {
  const found = new Map<string, string[]>()
  trials.forEach((trial, n) => {
    const lines = differences(trial, ours[n]!, host[n]!, vectors)
    if (lines.length === 0) return
    const list = found.get(trial.row.form) ?? []
    found.set(trial.row.form, list)
    list.push(`${lines.join('; ')}\n  ${describeTrial(trial)}`)
  })
  return found
}
