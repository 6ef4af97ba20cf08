/**
 * What is measured: each row is a piece of work for a guest, in the shell's language, and belongs to a machine that it
 * is done in. Ratios are time of xt over time of QEMU; targets are the most that they should be.
 */
import type { KernelFlavour } from '../assets/fetch-debian-kernel.ts'

export const SUITES = ['cpu', 'devices'] as const
export type Suite = (typeof SUITES)[number]

/** A machine that rows are done in, one after the other. */
export interface Session {
  readonly suite: Suite
  readonly vcpus: number
  readonly memoryMiB: number
  readonly flavour: KernelFlavour
  /** Its initramfs has the files that rows need; without, it is the demo's. */
  readonly hasFiles: boolean
}

export const SESSIONS = {
  boot: { suite: 'cpu', vcpus: 1, memoryMiB: 256, flavour: 'cloud', hasFiles: false },
  work: { suite: 'cpu', vcpus: 1, memoryMiB: 256, flavour: 'cloud', hasFiles: true },
  pair: { suite: 'cpu', vcpus: 2, memoryMiB: 256, flavour: 'cloud', hasFiles: true },
} as const satisfies Readonly<Record<string, Session>>
export type SessionId = keyof typeof SESSIONS

export interface Row {
  readonly id: string
  readonly title: string
  readonly session: SessionId
  /** Not timed. */
  readonly before?: string
  readonly command: string
  readonly target?: number
  /** File of the initramfs without which there is no such row (guest-files.ts). */
  readonly needs?: 'mawk' | 'kernel.xz'
}

export const BOOT = 'boot'
export const COMMAND = 'command'
/** Two rows whose quotient is how much a second vCPU brings. */
export const [IN_TURN, AT_ONCE] = ['gzip-in-turn', 'gzip-at-once']
export const SPEED_UP_TARGET = 1.7

/** Debian's busybox has nearly 2 MB. */
const MAKE_FILE = 'for i in 1 2 3 4 5 6 7 8 9; do cat /bin/busybox; done | head -c 16000000 >/tmp/f'
const GZIP = 'gzip -c /tmp/f >/dev/null'
const loop = (turns: number, body: string) => `i=0; while [ $i -lt ${turns} ]; do ${body}i=$((i+1)); done`

export const ROWS: readonly Row[] = [
  {
    id: BOOT,
    title: 'boot: kernel start to init’s first line',
    session: 'boot',
    command: ':',
    target: 1.5,
  },
  { id: COMMAND, title: 'boot: command to init’s first line', session: 'boot', command: ':' },
  {
    id: 'sha256sum',
    title: 'sha256sum of 64 MB',
    session: 'work',
    command: 'head -c 64000000 /dev/zero | sha256sum >/dev/null',
    target: 1.2,
  },
  { id: 'gzip', title: 'gzip of 16 MB', session: 'work', before: MAKE_FILE, command: GZIP, target: 1.2 },
  {
    id: 'xz',
    title: 'xz -d to 12 MB of a kernel',
    session: 'work',
    command: 'xz -dc /bench/kernel.xz >/dev/null',
    target: 1.2,
    needs: 'kernel.xz',
  },
  {
    id: 'shell',
    title: 'shell loop, 100 000 turns',
    session: 'work',
    command: loop(100_000, ''),
    target: 1.2,
  },
  {
    id: 'fork',
    title: '500 times fork and exec',
    session: 'work',
    command: loop(500, '/bin/busybox true; '),
    target: 2,
  },
  {
    id: 'float',
    title: 'floating point in awk, 1 000 000 turns',
    session: 'work',
    command: `mawk 'BEGIN{for(i=1;i<=1000000;i++)x+=sqrt(i)*sin(i)/(i+1.5);printf "%.9f\\n",x}' >/dev/null`,
    target: 2.5,
    needs: 'mawk',
  },
  {
    id: 'copy',
    title: 'memory copy of 1 GB',
    session: 'work',
    before: 'head -c 64000000 /dev/zero >/tmp/m',
    command: `${loop(16, 'dd if=/tmp/m of=/dev/null bs=1M 2>/dev/null; ')}; rm /tmp/m`,
    target: 1.2,
  },
  {
    id: IN_TURN,
    title: 'gzip of 16 MB twice in turn, 2 vCPUs',
    session: 'pair',
    before: MAKE_FILE,
    command: `${GZIP}; ${GZIP}`,
  },
  {
    id: AT_ONCE,
    title: 'gzip of 16 MB twice at once, 2 vCPUs',
    session: 'pair',
    before: MAKE_FILE,
    command: `${GZIP} & ${GZIP}; wait`,
  },
]

/** The script of a row, with the markers that are waited for on the console. */
export function rowScript({ id, before, command }: Row): string {
  return [
    ...(before === undefined ? [] : [before]),
    `echo @begin ${id}`,
    command,
    `echo @end ${id}`,
    '',
  ].join('\n')
}

/** What a session's guest runs. The kernel's own messages would land between the markers. */
export function sessionScript(rows: readonly Row[]): string {
  return ['dmesg -n 1', ...rows.map(({ id }) => `. /bench/${id}`), 'echo @done', 'sleep 3600'].join('\n')
}
