/**
 * The host CPU as an oracle: runs single instructions (or short sequences) on it with a chosen machine state
 * and returns the state left behind. Compiles runner.c with gcc once per version of it; where there is no gcc
 * or the host is not x86-64 Linux, `hostOracle()` says why, so that a test can skip with that reason.
 */

import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'

/** Register numbers of `HostState.gpr`. */
export const GPR = {
  rax: 0,
  rcx: 1,
  rdx: 2,
  rbx: 3,
  rsp: 4,
  rbp: 5,
  rsi: 6,
  rdi: 7,
  r8: 8,
  r9: 9,
  r10: 10,
  r11: 11,
  r12: 12,
  r13: 13,
  r14: 14,
  r15: 15,
} as const

/** Address of the first code byte, for RIP-relative operands. */
export const CODE_ADDRESS = 0x1000_0800
/** The only mapped data: 8 KiB from here, zero but for the case's own bytes; unmapped on both sides. */
export const MEMORY_ADDRESS = 0x2000_0000
export const MEMORY_BYTES = 8192
/** `HostResult.vector` of a case that reached the INT3 behind its code, and of one that never ended. */
export const COMPLETED = 3
export const TIMED_OUT = 255

export interface HostCase {
  /** Machine code, at most 64 bytes. */
  readonly code: Uint8Array
  /** 64 (default) or 32 for compatibility mode. */
  readonly bits?: 64 | 32
  /** 16 registers in hardware order; missing ones are 0. RSP may be anything. */
  readonly gpr?: readonly bigint[]
  /** Default 0x202. The kernel lets only OF DF SF ZF AF PF CF TF AC through. */
  readonly rflags?: bigint
  /** FXSAVE64 image of 512 bytes (see fx-image.ts); default: FNINIT state, MXCSR 0x1f80, XMM zero. */
  readonly fx?: Uint8Array
  /** Bytes placed at MEMORY_ADDRESS + offset; the same range is read back afterwards. */
  readonly memory?: { readonly offset: number; readonly bytes: Uint8Array }
}

export interface HostResult {
  /** x86 exception vector (0 #DE, 6 #UD, 13 #GP, 14 #PF, 16 #MF, 19 #XM ...), or COMPLETED, or TIMED_OUT. */
  readonly vector: number
  readonly errorCode: number
  /** Faulting address of a #PF, else 0. */
  readonly cr2: bigint
  /** Offset from the first code byte of the faulting instruction, or of the INT3 that was reached. */
  readonly ripOffset: number
  readonly gpr: BigUint64Array
  readonly rflags: bigint
  /** FXSAVE64 image; bytes from 416 on are zero. */
  readonly fx: Uint8Array
  readonly memory: Uint8Array
}

export type HostOracle =
  | { readonly kind: 'ready'; readonly runOnHost: (cases: readonly HostCase[]) => HostResult[] }
  | { readonly kind: 'missing'; readonly reason: string }

const FX_BYTES = 512
const MAX_CODE = 64
const CASE_BYTES = 16 + 17 * 8 + FX_BYTES + MAX_CODE
const RESULT_BYTES = 24 + 17 * 8 + FX_BYTES
/** Cases per process: bounds the memory of one batch to some megabytes. */
const BATCH = 4096

let known: HostOracle | undefined

/** The oracle of this machine; compiles the runner at the first call of a fresh checkout (about 0.3 s). */
export function hostOracle(): HostOracle {
  known ??= findOracle()
  return known
}

function findOracle(): HostOracle {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return { kind: 'missing', reason: `the host is ${process.platform} ${process.arch}, not x86-64 Linux` }
  }
  const source = join(import.meta.dirname, 'runner.c')
  const digest = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16)
  const cache = join(import.meta.dirname, '../../node_modules/.cache/host-oracle')
  const program = join(cache, `runner-${digest}`)
  if (!existsSync(program)) {
    mkdirSync(cache, { recursive: true })
    const fresh = `${program}.${process.pid}`
    try {
      execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-o', fresh, source], { stdio: 'pipe' })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      return { kind: 'missing', reason: 'there is no gcc to build the host CPU runner with' }
    }
    renameSync(fresh, program)
  }
  return { kind: 'ready', runOnHost: (cases) => runInBatches(program, cases) }
}

function runInBatches(program: string, cases: readonly HostCase[]): HostResult[] {
  const results: HostResult[] = []
  for (let at = 0; at < cases.length; at += BATCH) {
    results.push(...runBatch(program, cases.slice(at, at + BATCH)))
  }
  return results
}

function runBatch(program: string, cases: readonly HostCase[]): HostResult[] {
  const memoryBytes = cases.reduce((sum, c) => sum + padded(c.memory?.bytes.length ?? 0), 0)
  const expected = cases.length * RESULT_BYTES + memoryBytes
  const run = spawnSync(program, { input: encode(cases, memoryBytes), maxBuffer: expected + 4096 })
  if (run.error) throw run.error
  if (run.status !== 0 || run.stdout.length !== expected) {
    throw new Error(
      `host CPU runner: status ${run.status}, signal ${run.signal}, ${run.stdout.length} of ${expected} bytes: ${run.stderr}`,
    )
  }
  return decode(cases, run.stdout)
}

function encode(cases: readonly HostCase[], memoryBytes: number): Uint8Array {
  const bytes = new Uint8Array(cases.length * CASE_BYTES + memoryBytes)
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const c of cases) {
    if (c.code.length > MAX_CODE) throw new RangeError(`${c.code.length} code bytes, at most ${MAX_CODE}`)
    const memory = c.memory?.bytes ?? new Uint8Array(0)
    view.setUint32(at, c.bits ?? 64, true)
    view.setUint32(at + 4, c.code.length, true)
    view.setUint32(at + 8, c.memory?.offset ?? 0, true)
    view.setUint32(at + 12, memory.length, true)
    for (const [i, value] of (c.gpr ?? []).entries()) view.setBigUint64(at + 16 + 8 * i, value, true)
    view.setBigUint64(at + 144, c.rflags ?? 0x202n, true)
    bytes.set(c.fx ?? defaultFx, at + 152)
    bytes.set(c.code, at + 152 + FX_BYTES)
    bytes.set(memory, at + CASE_BYTES)
    at += CASE_BYTES + padded(memory.length)
  }
  return bytes
}

function decode(cases: readonly HostCase[], raw: Uint8Array): HostResult[] {
  // A fresh buffer: Node's pooled ones are not 8-byte aligned.
  const bytes = Uint8Array.from(raw)
  const view = new DataView(bytes.buffer)
  let at = 0
  return cases.map((c) => {
    const memoryLength = c.memory?.bytes.length ?? 0
    const start = at
    at += RESULT_BYTES + padded(memoryLength)
    return {
      vector: view.getUint32(start, true),
      errorCode: view.getUint32(start + 4, true),
      cr2: view.getBigUint64(start + 8, true),
      ripOffset: Number(view.getBigInt64(start + 16, true)),
      gpr: new BigUint64Array(bytes.buffer, start + 24, 16),
      rflags: view.getBigUint64(start + 152, true),
      fx: bytes.subarray(start + 160, start + RESULT_BYTES),
      memory: bytes.subarray(start + RESULT_BYTES, start + RESULT_BYTES + memoryLength),
    }
  })
}

const padded = (length: number): number => Math.ceil(length / 8) * 8

/** FCW 0x37f (FNINIT), MXCSR 0x1f80; all else zero: empty x87 stack. */
const defaultFx = new Uint8Array(FX_BYTES)
defaultFx.set([0x7f, 0x03], 0)
defaultFx.set([0x80, 0x1f], 24)
