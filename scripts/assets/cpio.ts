/**
 * Writes the cpio archives that Linux unpacks as its initramfs: "newc" without checksums (Linux
 * Documentation/driver-api/early-userspace/buffer-format.rst). Everything belongs to root and is dated 1970, so equal
 * contents give equal bytes.
 */

export type CpioEntry =
  | { readonly path: string; readonly kind: 'directory'; readonly mode?: number }
  | { readonly path: string; readonly kind: 'file'; readonly data: Uint8Array; readonly mode?: number }
  | { readonly path: string; readonly kind: 'symlink'; readonly target: string }
  | {
      readonly path: string
      readonly kind: 'char-device'
      readonly major: number
      readonly minor: number
      readonly mode?: number
    }

const TYPE_BITS = { directory: 0o040000, file: 0o100000, symlink: 0o120000, 'char-device': 0o020000 }
const DEFAULT_MODE = { directory: 0o755, file: 0o644, symlink: 0o777, 'char-device': 0o600 }
const TRAILER = 'TRAILER!!!'

/** Paths are relative (`bin/sh`), parents come before their children. */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
  const chunks: Uint8Array[] = []
  entries.forEach((entry, i) => {
    const mode =
      TYPE_BITS[entry.kind] |
      ('mode' in entry && entry.mode !== undefined ? entry.mode : DEFAULT_MODE[entry.kind])
    const device = entry.kind === 'char-device' ? ([entry.major, entry.minor] as const) : ([0, 0] as const)
    chunks.push(...member(i + 1, entry.path, mode, contents(entry), device))
  })
  chunks.push(...member(0, TRAILER, 0, new Uint8Array(0), [0, 0]))
  return concatenate(chunks)
}

function contents(entry: CpioEntry): Uint8Array {
  if (entry.kind === 'file') return entry.data
  return entry.kind === 'symlink' ? new TextEncoder().encode(entry.target) : new Uint8Array(0)
}

/** Header, name and data, each padded to four bytes. */
function member(
  inode: number,
  path: string,
  mode: number,
  data: Uint8Array,
  [major, minor]: readonly [number, number],
): Uint8Array[] {
  const name = new TextEncoder().encode(`${path}\0`)
  const links = mode >> 12 === TYPE_BITS.directory >> 12 ? 2 : 1
  // c_ino, c_mode, c_uid, c_gid, c_nlink, c_mtime, c_filesize, c_maj, c_min, c_rmaj, c_rmin, c_namesize, c_chksum
  const fields = [inode, mode, 0, 0, links, 0, data.length, 0, 0, major, minor, name.length, 0]
  const header = `070701${fields.map((n) => n.toString(16).padStart(8, '0')).join('')}`
  const head = new TextEncoder().encode(header)
  return [head, name, padding(head.length + name.length), data, padding(data.length)]
}

const padding = (length: number): Uint8Array => new Uint8Array(-length & 3)

function concatenate(chunks: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) {
    out.set(chunk, at)
    at += chunk.length
  }
  return out
}
