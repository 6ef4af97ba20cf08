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
  /** Kernel modules: those of both machines; the other's find nothing. */
  readonly modules?: readonly string[]
  /** What it has besides processors and memory (devices.ts). */
  readonly device?: 'disks' | 'network' | 'share'
  /** Shell lines before the first row. */
  readonly prepare?: string
}

const VIRTIO = ['virtio_ring', 'virtio', 'virtio_pci_modern_dev', 'virtio_pci_legacy_dev', 'virtio_pci']
const SHARE_MIB = 100
/** Size of the disk that sequential rows read and write. */
export const DISK_MIB = Number(process.env['XT_BENCH_DISK_MIB'] ?? 1024)
/** Ports of the guest for network rows. */
export const PORT = { sink: 5001, source: 5002, echo: 5003 } as const
const listen = (port: number, program: string) => `nc -ll -p ${port} -e ${program} 2>/dev/null &`

export const SESSIONS = {
  boot: { suite: 'cpu', vcpus: 1, memoryMiB: 256, flavour: 'cloud', hasFiles: false },
  work: { suite: 'cpu', vcpus: 1, memoryMiB: 256, flavour: 'cloud', hasFiles: true },
  pair: { suite: 'cpu', vcpus: 2, memoryMiB: 256, flavour: 'cloud', hasFiles: true },
  disk: {
    suite: 'devices',
    vcpus: 1,
    memoryMiB: 512,
    flavour: 'cloud',
    hasFiles: true,
    modules: ['xen-blkfront', ...VIRTIO, 'virtio_blk'],
    device: 'disks',
    prepare:
      'd=/dev/xvd; [ -e /dev/xvda ] || d=/dev/vd\nmkdir -p /mnt; mount -t ext4 -o ro "$d"b /mnt 2>/dev/null',
  },
  network: {
    suite: 'devices',
    vcpus: 1,
    memoryMiB: 256,
    flavour: 'cloud',
    hasFiles: true,
    modules: ['xen-netfront', ...VIRTIO, 'failover', 'net_failover', 'virtio_net'],
    device: 'network',
    prepare: [
      'ip link set lo up; ip link set eth0 up; udhcpc -q -n -i eth0 >/dev/null 2>&1',
      listen(PORT.sink, 'dd of=/dev/null bs=64k'),
      // What is left unread at the end would make a reset of it, and lose data: the one byte is taken first.
      listen(PORT.source, "sh -c 'head -c 1 >/dev/null; dd if=/dev/zero bs=64k count=1600'"),
      listen(PORT.echo, 'cat'),
    ].join('\n'),
  },
  share: {
    suite: 'devices',
    vcpus: 1,
    memoryMiB: 512,
    flavour: 'generic',
    hasFiles: true,
    modules: ['netfs', 'fscache', '9pnet', ...VIRTIO, '9pnet_xen', '9pnet_virtio', '9p'],
    device: 'share',
    prepare:
      'mkdir -p /mnt; for t in xen virtio; do mount -t 9p -o trans=$t,version=9p2000.L,msize=262144,ro bench /mnt 2>/dev/null && break; done',
  },
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
  /** What this machine must have for the row (guest-files.ts, devices.ts). */
  readonly needs?: Need
  /** Work that is done from outside, over the network; `command` is not used then. */
  readonly drive?: 'sink' | 'source' | 'echo'
  /** The command prints `@took ID SECONDS`: that counts, not the time between the markers. */
  readonly tellsTime?: boolean
}
export type Need = 'mawk' | 'kernel.xz' | 'fio' | 'passt'

export const BOOT = 'boot'
export const COMMAND = 'command'
/** Two rows whose quotient is how much a second vCPU brings. */
export const [IN_TURN, AT_ONCE] = ['gzip-in-turn', 'gzip-at-once']
export const SPEED_UP_TARGET = 1.7

/** Debian's busybox has nearly 2 MB. */
const MAKE_FILE = 'for i in 1 2 3 4 5 6 7 8 9; do cat /bin/busybox; done | head -c 16000000 >/tmp/f'
const GZIP = 'gzip -c /tmp/f >/dev/null'
const loop = (turns: number, body: string) => `i=0; while [ $i -lt ${turns} ]; do ${body}i=$((i+1)); done`

const dd = (id: string, direct: boolean, write: boolean): Row => ({
  id,
  title: `dd: ${write ? 'write' : 'read'} of ${DISK_MIB} MiB${direct ? ', O_DIRECT' : ''}`,
  session: 'disk',
  before: 'echo 3 >/proc/sys/vm/drop_caches',
  command: write
    ? `dd if=/dev/zero of="$d"a bs=1M count=${DISK_MIB} conv=fsync${direct ? ' oflag=direct' : ''} 2>/dev/null`
    : `dd if="$d"a of=/dev/null bs=1M count=${DISK_MIB}${direct ? ' iflag=direct' : ''} 2>/dev/null`,
  target: 1,
})
/** fio's terse output: field 9 is the run time of reads in milliseconds, field 50 that of writes. */
const fio = (id: string, write: boolean, depth: number, requests: number): Row => ({
  id,
  title: `fio: ${requests} random 4 KiB ${write ? 'writes' : 'reads'}, depth ${depth}`,
  session: 'disk',
  command:
    `ms=$(/mnt/run fio --name=t --filename="$d"a --direct=1 --ioengine=libaio --bs=4k --size=${DISK_MIB}m ` +
    `--rw=${write ? 'randwrite' : 'randread'} --iodepth=${depth} --number_ios=${requests} --thread --minimal ` +
    `2>/dev/null | grep '^3;' | cut -d';' -f${write ? 50 : 9}); echo "@took ${id} $ms"`,
  target: 1,
  needs: 'fio',
  tellsTime: true,
})
const overNetwork = (drive: NonNullable<Row['drive']>, title: string): Row => ({
  id: `tcp-${drive}`,
  title,
  session: 'network',
  command: ':',
  target: 1,
  needs: 'passt',
  drive,
})

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
  dd('write', false, true),
  dd('read', false, false),
  dd('write-direct', true, true),
  dd('read-direct', true, false),
  fio('randread-1', false, 1, 4000),
  fio('randread-32', false, 32, 20_000),
  fio('randwrite-1', true, 1, 4000),
  fio('randwrite-32', true, 32, 20_000),
  overNetwork('sink', 'TCP: 100 MB, host to guest'),
  overNetwork('source', 'TCP: 100 MB, guest to host'),
  overNetwork('echo', 'TCP: 2000 times one byte there and back'),
  {
    id: '9p-large',
    title: `9p: read of a file of ${SHARE_MIB} MiB`,
    session: 'share',
    command: 'cat /mnt/large >/dev/null',
    target: 1,
  },
  {
    id: '9p-small',
    title: '9p: read of 10 000 small files',
    session: 'share',
    command: 'find /mnt/small -type f -exec cat {} + >/dev/null',
    target: 1,
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
export function sessionScript(rows: readonly Row[], prepare = ':'): string {
  return [
    'dmesg -n 1',
    prepare,
    'echo @ready',
    ...rows.filter(({ drive }) => drive === undefined).map(({ id }) => `. /bench/${id}`),
    'echo @done',
    'sleep 3600',
  ].join('\n')
}
