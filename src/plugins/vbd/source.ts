/**
 * Where a disk's bytes come from, told by its format and target: a raw file or device that is opened here, or something
 * that qemu-storage-daemon understands (other formats, remote images), as options of its --blockdev. Pure.
 *
 * XEN: formats that xl has no word for, and remote images, are written into the target: vmdk:/srv/a.vmdk, vhdx:, vdi:,
 * nbd://host/export, nbd+unix:///export?socket=PATH, ssh://user@host/path, https://host/path.
 */
import type { VbdSpec } from './device.ts'
import { vbdErrors } from './errors.ts'

export type Blockdev = { readonly [key: string]: string | boolean | Blockdev }

export type Source =
  | { readonly kind: 'here'; readonly path: string }
  /** `path`: the file of this host that the daemon opens, if it is one. */
  | { readonly kind: 'daemon'; readonly blockdev: Blockdev; readonly path: string | undefined }

/** Formats by the word of xl, or of the target, as QEMU calls them. */
const DRIVERS: Readonly<Record<string, string>> = {
  raw: 'raw',
  qcow: 'qcow',
  qcow2: 'qcow2',
  qed: 'qed',
  vhd: 'vpc',
  vhdx: 'vhdx',
  vmdk: 'vmdk',
  vdi: 'vdi',
}
const NBD_PORT = '10809'

/** @throws XtError XT_VBD_TARGET */
export function sourceOf(
  disk: Pick<VbdSpec, 'vdev' | 'format' | 'readwrite'> & { readonly target: string },
): Source {
  const { vdev, format, readwrite } = disk
  const prefixed = /^(vhdx|vmdk|vdi):(.*)$/s.exec(disk.target)
  const driver = DRIVERS[prefixed?.[1] ?? format] ?? format
  const target = prefixed?.[2] ?? disk.target
  if (prefixed !== null && format !== 'raw')
    throw vbdErrors.XT_VBD_TARGET(vdev, disk.target, `it is said to be ${prefixed[1]} and format=${format}`)
  const remote = remoteOf(target, (why) => vbdErrors.XT_VBD_TARGET(vdev, disk.target, why))
  if (remote === undefined && driver === 'raw') return { kind: 'here', path: target }
  if (readwrite && (remote?.['driver'] === 'http' || remote?.['driver'] === 'https'))
    throw vbdErrors.XT_VBD_TARGET(vdev, disk.target, 'nothing can be written there, so it needs access=ro')
  return {
    kind: 'daemon',
    blockdev: { driver, file: remote ?? { driver: 'file', filename: target } },
    path: remote === undefined ? target : undefined,
  }
}

function remoteOf(target: string, wrong: (why: string) => Error): Blockdev | undefined {
  const old = /^nbd:(?!\/\/)(?:unix:([^:]+)|([^:/]+):(\d+))(?::exportname=(.*))?$/s.exec(target)
  if (old !== null) {
    const [, path, host, port, name] = old
    return nbd(path === undefined ? inet(host!, port!) : { type: 'unix', path }, name)
  }
  const scheme = /^(nbd|nbd\+unix|ssh|https?):\/\//.exec(target)?.[1]
  if (scheme === undefined) return undefined
  if (!URL.canParse(target)) throw wrong('it is no URL')
  const url = new URL(target)
  const name = decodeURIComponent(url.pathname.slice(1))
  switch (scheme) {
    case 'nbd':
      if (url.hostname === '') throw wrong('it names no host')
      return nbd(inet(hostOf(url), url.port || NBD_PORT), name)
    case 'nbd+unix': {
      const path = url.searchParams.get('socket')
      if (path === null) throw wrong('it names no socket: nbd+unix:///NAME?socket=PATH')
      return nbd({ type: 'unix', path }, name)
    }
    case 'ssh': {
      if (url.hostname === '') throw wrong('it names no host')
      const user = url.username === '' ? {} : { user: decodeURIComponent(url.username) }
      const server = { host: hostOf(url), port: url.port || '22' }
      return { driver: 'ssh', server, path: decodeURIComponent(url.pathname), ...user }
    }
    default:
      return { driver: scheme, url: target }
  }
}

const inet = (host: string, port: string): Blockdev => ({ type: 'inet', host, port })
const nbd = (server: Blockdev, name: string | undefined): Blockdev => ({
  driver: 'nbd',
  server,
  ...(name === undefined || name === '' ? {} : { export: name }),
})
/** Without the brackets of an IPv6 address. */
const hostOf = (url: URL): string => url.hostname.replace(/^\[(.*)\]$/, '$1')
