/** Files that rows need in the guest: their scripts, a compressed kernel, Debian's mawk; and what is missing for them. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { readKernel } from '../../src/engine/boot/kernel.ts'
import type { CpioEntry } from '../assets/cpio.ts'
import { findProgram, programEntries } from '../assets/host-program.ts'
import { type Need, ROWS, rowScript } from './rows.ts'

const KERNEL_LIMIT = 256 << 20
/** Of the unpacked kernel: code and data, as programs are. */
const XZ_INPUT_BYTES = 12_000_000

export interface BenchFiles {
  readonly entries: readonly CpioEntry[]
  /** Needs that this machine cannot fulfil, each with the reason. */
  readonly missing: ReadonlyMap<Need, string>
}

export function benchFiles(vmlinuz: string): BenchFiles {
  const missing = new Map<Need, string>()
  const file = (path: string, data: Uint8Array): CpioEntry => ({ path, kind: 'file', data })
  const entries: CpioEntry[] = [
    { path: 'bench', kind: 'directory' },
    ...ROWS.map((row) => file(`bench/${row.id}`, new TextEncoder().encode(rowScript(row)))),
  ]
  const packed = compressedKernel(vmlinuz)
  if (packed === undefined) missing.set('kernel.xz', 'there is no xz on this machine (apt install xz-utils)')
  else entries.push(file('bench/kernel.xz', packed))
  const mawk = findProgram('mawk')
  if (mawk === undefined) missing.set('mawk', 'there is no mawk on this machine (apt install mawk)')
  else entries.push(...programEntries([mawk]))
  return { entries, missing }
}

function compressedKernel(vmlinuz: string): Uint8Array | undefined {
  const { unpacked } = readKernel(readFileSync(vmlinuz), vmlinuz, KERNEL_LIMIT)
  const input = (unpacked ?? readFileSync(vmlinuz)).subarray(0, XZ_INPUT_BYTES)
  const { status, stdout } = spawnSync('xz', ['-c', '-T1', '--check=crc32'], {
    input,
    maxBuffer: KERNEL_LIMIT,
  })
  return status === 0 ? stdout : undefined
}
