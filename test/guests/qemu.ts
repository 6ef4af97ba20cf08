/** Runs a micro-guest on QEMU's own CPU emulation: another opinion on whether the guest itself is right. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { MicroGuest } from '../../src/testkit/micro-guests/guest.ts'

const QEMU = 'qemu-system-x86_64'

/** Why QEMU cannot be used here, or undefined. */
export function whyNoQemu(): string | undefined {
  const { status } = spawnSync(QEMU, ['--version'])
  return status === 0 ? undefined : `no ${QEMU} on this machine`
}

/** The lines the guest wrote to port 0xE9. */
export function runOnQemu(guest: MicroGuest, dir: string): string[] {
  const kernel = join(dir, `${guest.name}.elf`)
  const log = join(dir, 'console')
  writeFileSync(kernel, guest.build())
  const machine = [
    '-accel',
    'tcg',
    '-cpu',
    'max',
    '-m',
    '64',
    '-smp',
    `${guest.vcpus}`,
    '-nodefaults',
    '-no-reboot',
  ]
  const ports = ['-display', 'none', '-debugcon', `file:${log}`, '-device', 'isa-debug-exit,iobase=0xf4']
  spawnSync(QEMU, [...machine, ...ports, '-kernel', kernel], { timeout: 60_000 })
  return existsSync(log)
    ? readFileSync(log, 'latin1')
        .split('\r\n')
        .filter((line) => line !== '')
    : []
}
