/** The programs that stress a guest, as files for its initramfs: ours, built here, and Debian's stress-ng. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CpioEntry } from '../assets/cpio.ts'
import { findProgram, programEntries } from '../assets/host-program.ts'

const SOURCE = new URL('../../test/guests-linux/stress.c', import.meta.url).pathname

/** test/guests-linux/stress.c built static, as bin/stress; or a sentence why it cannot be. */
export function stressProgram(): CpioEntry | string {
  const cc = findProgram('cc')
  if (cc === undefined) return 'there is no C compiler on this machine (apt install gcc libc6-dev)'
  if (process.arch !== 'x64') return 'the C compiler of this machine does not make programs for x86-64'
  const directory = mkdtempSync(join(tmpdir(), 'xt-stress-'))
  try {
    const out = join(directory, 'stress')
    const { status, stderr } = spawnSync(cc, ['-O2', '-static', '-pthread', '-o', out, SOURCE], {
      encoding: 'utf8',
    })
    if (status !== 0) return `the C compiler fails: ${stderr.trim().split('\n').at(-1)}`
    return { path: 'bin/stress', kind: 'file', data: readFileSync(out), mode: 0o755 }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Debian's stress-ng with its libraries; or a sentence why it is not there. */
export function stressNg(): readonly CpioEntry[] | string {
  const path = findProgram('stress-ng')
  if (path === undefined) return 'there is no stress-ng on this machine (apt install stress-ng)'
  return programEntries([path])
}

/** What stress-ng is asked for: each CPU and memory stressor checks its own results. */
export const stressNgCommand = (seconds: number, workers: number): string =>
  [
    `stress-ng --cpu ${workers} --cpu-method all --verify -t ${seconds} --temp-path /tmp --oomable`,
    `stress-ng --vm ${workers} --vm-bytes 24M --vm-method all --verify -t ${seconds} --temp-path /tmp --oomable`,
  ].join(' && ')

/** What a console must not show, whatever ran. */
export const COMPLAINTS =
  /^.*(BUG:|WARNING:|Kernel panic|Call Trace|rcu: INFO|soft lockup|Oops|general protection|invalid opcode|stress: .*FAILED|fail: ).*$/m
