/**
 * How well a guest's clock goes while the guest works: its uptime against ours over a minute. Each of its times is
 * printed many times at either end; what arrived with the least delay counts.
 */
import { runArgument } from '../assets/make-initramfs.ts'
import type { GuestLines } from './guest-lines.ts'
import type { MachineKind, MachineSpec } from './machines.ts'

const READINGS = 20

const script = (seconds: number) =>
  `dmesg -n 1
(while :; do :; done) &
tell() { i=0; while [ $i -lt ${READINGS} ]; do read up rest </proc/uptime; echo "@clock $1 $i $up"; usleep 47000; i=$((i+1)); done; }
tell first; sleep ${seconds}; tell last; sleep 3600`

/** How much longer the guest's seconds are than ours, as a share: 0.001 is one second in a thousand. */
export async function clockDrift(
  kind: MachineKind,
  spec: Omit<MachineSpec, 'cmdline'>,
  seconds: number,
): Promise<number> {
  await using machine = await kind.start({ ...spec, cmdline: runArgument(script(seconds)) })
  const first = await offset(machine.lines, 'first')
  const last = await offset(machine.lines, 'last')
  return (first.behindMs - last.behindMs) / (last.atMs - first.atMs)
}

/** The least that the guest's clock seemed to be behind ours. */
async function offset(lines: GuestLines, when: string): Promise<{ behindMs: number; atMs: number }> {
  let best = { behindMs: Number.POSITIVE_INFINITY, atMs: 0 }
  for (let i = 0; i < READINGS; i++) {
    const { text, atMs } = await lines.line(new RegExp(`^@clock ${when} ${i} `))
    const behindMs = atMs - Number(text.split(' ')[3]) * 1000
    if (behindMs < best.behindMs) best = { behindMs, atMs }
  }
  return best
}
