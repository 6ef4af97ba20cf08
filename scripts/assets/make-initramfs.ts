/**
 * Makes the demo's initramfs: busybox and a small /init (init.sh) in a gzip-compressed cpio archive.
 *
 *   node scripts/assets/make-initramfs.ts [MODULE...]
 *
 * prints its path. Modules of Debian's cloud kernel that are named (xen-blkfront xen-netfront) are loaded at the start. No root needed: device nodes are written into the archive, not onto a disk.
 */
import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { XtError } from '../../src/base/errors.ts'
import { assetCache } from './cache.ts'
import { type CpioEntry, writeCpio } from './cpio.ts'
import { exists } from './debian-package.ts'
import { type AssetOptions, debianBusybox, debianModules, KERNEL_FLAVOURS } from './fetch-debian-kernel.ts'

export interface InitramfsOptions extends AssetOptions {
  /** A static x86-64 busybox; by default Debian's is fetched. */
  readonly busybox?: string
  /** Kernel modules (.ko files) that the guest loads at its start, in this order. */
  readonly modules?: readonly string[]
  /** More files, for instance test programs. */
  readonly extra?: readonly CpioEntry[]
}

const INITTAB = `hvc0::respawn:-/bin/sh
::ctrlaltdel:/bin/reboot
::shutdown:/bin/sync
`
const PROFILE = `export PATH=/bin HOME=/root TERM=linux PS1='\\u@\\h:\\w# '
cd
echo "Root shell on hvc0. 'poweroff' ends the guest, 'reboot' starts it again."
`

/**
 * The kernel argument that makes this initramfs run a shell script and power off. The whole command line must stay
 * below Linux' 2048 bytes.
 */
export function runArgument(script: string): string {
  return `xt.run=${Buffer.from(script).toString('base64')}`
}

/**
 * Path of an initramfs in the cache, made if it is not there. Equal contents have the same path.
 * @throws XtError of assetErrors
 */
export async function initramfs(options: InitramfsOptions = {}): Promise<string> {
  const busybox = await readFile(options.busybox ?? (await debianBusybox(options)))
  const init = await readFile(new URL('init.sh', import.meta.url))
  const online = await readFile(new URL('cpu-online.sh', import.meta.url))
  const modules = await moduleEntries(options.modules ?? [])
  const archive = writeCpio(
    entries(busybox, init, [
      { path: 'etc/cpu-online', kind: 'file', data: online, mode: 0o755 },
      ...(await dhcpEntries()),
      ...modules,
      ...(options.extra ?? []),
    ]),
  )
  const id = createHash('sha256').update(archive).digest('hex').slice(0, 12)
  const directory = join(options.cache ?? assetCache(), 'initramfs')
  const path = join(directory, `${id}.cpio.gz`)
  if (await exists(path)) return path
  options.onProgress?.('making the initramfs')
  await mkdir(directory, { recursive: true })
  const unfinished = `${path}.${process.pid}`
  await writeFile(unfinished, gzipSync(archive, { level: 9 }))
  await rename(unfinished, path)
  return path
}

/** Numbered, so that the order of the names is the order of loading. */
async function moduleEntries(files: readonly string[]): Promise<CpioEntry[]> {
  if (files.length === 0) return []
  const loaded = files.map(async (file, n): Promise<CpioEntry> => {
    const path = `lib/modules/${String(n).padStart(2, '0')}-${basename(file)}`
    return { path, kind: 'file', data: await readFile(file) }
  })
  const directories = ['lib', 'lib/modules'].map((path): CpioEntry => ({ path, kind: 'directory' }))
  return [...directories, ...(await Promise.all(loaded))]
}

/** busybox' DHCP client asks for mtu with `-O mtu`. */
async function dhcpEntries(): Promise<readonly CpioEntry[]> {
  const data = await readFile(new URL('udhcpc.sh', import.meta.url))
  return [
    { path: 'etc/udhcpc', kind: 'directory' },
    { path: 'etc/udhcpc/default.script', kind: 'file', data, mode: 0o755 },
  ]
}

function entries(busybox: Uint8Array, init: Uint8Array, extra: readonly CpioEntry[]): CpioEntry[] {
  const text = (path: string, content: string): CpioEntry => ({
    path,
    kind: 'file',
    data: new TextEncoder().encode(content),
  })
  const directories = ['bin', 'dev', 'etc', 'proc', 'root', 'sys', 'tmp', 'usr', 'var', 'var/run', 'var/log']
  return [
    ...directories.map((path): CpioEntry => ({ path, kind: 'directory' })),
    // The kernel opens it for init before devtmpfs is mounted.
    { path: 'dev/console', kind: 'char-device', major: 5, minor: 1 },
    { path: 'init', kind: 'file', data: init, mode: 0o755 },
    { path: 'bin/busybox', kind: 'file', data: busybox, mode: 0o755 },
    { path: 'bin/sh', kind: 'symlink', target: 'busybox' },
    { path: 'sbin', kind: 'symlink', target: 'bin' },
    { path: 'usr/bin', kind: 'symlink', target: '../bin' },
    text('etc/inittab', INITTAB),
    text('etc/profile', PROFILE),
    text('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n'),
    text('etc/group', 'root:x:0:\n'),
    ...extra,
  ]
}

if (import.meta.main) {
  try {
    const onProgress = (line: string) => console.error(line)
    const { values, positionals: names } = parseArgs({
      options: { kernel: { type: 'string', default: 'cloud' } },
      allowPositionals: true,
    })
    const flavour = KERNEL_FLAVOURS.find((known) => known === values.kernel)
    if (flavour === undefined) {
      console.error(`unknown kernel ${values.kernel}; there are ${KERNEL_FLAVOURS.join(', ')}`)
      process.exit(2)
    }
    const modules = names.length === 0 ? [] : await debianModules(names, { flavour, onProgress })
    console.log(await initramfs({ modules, onProgress }))
  } catch (error) {
    if (!(error instanceof XtError)) throw error
    console.error(error.hint === undefined ? error.message : `${error.message}\n${error.hint}`)
    process.exit(error.exit)
  }
}
