import fc from 'fast-check'
import t from 'tap'
import { type CpioEntry, writeCpio } from '../../../scripts/assets/cpio.ts'

interface Member {
  readonly path: string
  readonly mode: number
  readonly data: Uint8Array
  readonly rdev: readonly [number, number]
  readonly inode: number
}

/** Reads an archive as Linux' init/initramfs.c does: 13 hex fields, name, data, each padded to four bytes. */
function readCpio(archive: Uint8Array): Member[] {
  const text = (at: number, length: number) => new TextDecoder().decode(archive.subarray(at, at + length))
  const members: Member[] = []
  for (let at = 0; ; ) {
    if (text(at, 6) !== '070701') throw new Error(`no header at ${at}`)
    const field = (i: number) => Number.parseInt(text(at + 6 + 8 * i, 8), 16)
    const [size, nameSize] = [field(6), field(11)]
    const path = text(at + 110, nameSize - 1)
    if (archive[at + 110 + nameSize - 1] !== 0) throw new Error('a name does not end with NUL')
    const dataAt = (at + 110 + nameSize + 3) & ~3
    if (path === 'TRAILER!!!') {
      if (dataAt !== archive.length) throw new Error('something follows the trailer')
      return members
    }
    const data = archive.slice(dataAt, dataAt + size)
    members.push({ path, mode: field(1), data, rdev: [field(9), field(10)], inode: field(0) })
    at = (dataAt + size + 3) & ~3
  }
}

t.test('each kind of entry is written with its type bits, mode, contents and device number', async (t) => {
  const members = readCpio(
    writeCpio([
      { path: 'dev', kind: 'directory' },
      { path: 'dev/console', kind: 'char-device', major: 5, minor: 1 },
      { path: 'init', kind: 'file', data: Uint8Array.of(1, 2, 3), mode: 0o755 },
      { path: 'bin/sh', kind: 'symlink', target: 'busybox' },
    ]),
  )
  t.strictSame(
    members.map(({ path, mode, data, rdev }) => [path, mode.toString(8), Array.from(data), rdev]),
    [
      ['dev', '40755', [], [0, 0]],
      ['dev/console', '20600', [], [5, 1]],
      ['init', '100755', [1, 2, 3], [0, 0]],
      ['bin/sh', '120777', [...new TextEncoder().encode('busybox')], [0, 0]],
    ],
  )
})

t.test('what was written is read back, whatever names and contents, each with its own inode', async () => {
  const entry: fc.Arbitrary<CpioEntry & { kind: 'file' }> = fc.record({
    path: fc.string({ minLength: 1 }).filter((path) => !path.includes('\0') && path !== 'TRAILER!!!'),
    kind: fc.constant('file' as const),
    data: fc.uint8Array({ maxLength: 50 }),
  })
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 8 }), (entries) => {
      const members = readCpio(writeCpio(entries))
      return (
        members.length === entries.length &&
        new Set(members.map((m) => m.inode)).size === members.length &&
        members.every((m, i) => m.path === entries[i]!.path && Buffer.compare(m.data, entries[i]!.data) === 0)
      )
    }),
  )
})
