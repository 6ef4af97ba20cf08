import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { XtError } from '../../../src/base/errors.ts'
import { decompress, type Format, formatOf, gunzipRamdisk } from '../../../src/engine/boot/decompress.ts'
import { sampleBytes } from './sample.ts'

const LIMIT = 64 << 20
const sample = sampleBytes(20000)
const isSample = (bytes: Uint8Array) => Buffer.compare(bytes, sample) === 0
/** What the reference programs made of the sample. */
const fixture = (name: string) => new Uint8Array(readFileSync(new URL(`fixtures/${name}`, import.meta.url)))

const packed: readonly (readonly [string, Format, Uint8Array])[] = [
  ['xz with the x86 filter and CRC32', 'xz', fixture('sample-x86.xz')],
  ['xz with CRC64', 'xz', fixture('sample-crc64.xz')],
  ['lzma', 'lzma', fixture('sample.lzma')],
  ['bzip2', 'bzip2', fixture('sample.bz2')],
  ['lzo', 'lzo', fixture('sample.lzo')],
  ['lz4', 'lz4', fixture('sample.lz4')],
  ['gzip', 'gzip', new Uint8Array(gzipSync(sample))],
  [
    'zstd without a content size',
    'zstd',
    new Uint8Array(zstdCompressSync(sample, { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } })),
  ],
]

/** As in a bzImage: the unpacked size follows, which gzip has as its own last word. */
function withTrailer(format: Format, bytes: Uint8Array, size: number): Uint8Array {
  if (format === 'gzip') return bytes
  const out = new Uint8Array(bytes.length + 4)
  out.set(bytes)
  new DataView(out.buffer).setUint32(bytes.length, size, true)
  return out
}

function codeOf(run: () => unknown): string {
  try {
    run()
    return 'none'
  } catch (error) {
    return error instanceof XtError ? error.code : `not an XtError: ${error}`
  }
}

for (const [name, format, bytes] of packed) {
  t.test(`${name} is recognised and unpacked to the original bytes`, async (t) => {
    t.equal(formatOf(bytes), format)
    t.ok(isSample(decompress(bytes, format, { name: 'k', limit: LIMIT, hasSizeTrailer: false })))
  })

  t.test(`${name} with a bzImage's size behind it is unpacked, and a wrong size is refused`, async (t) => {
    const options = { name: 'k', limit: LIMIT, hasSizeTrailer: true }
    t.ok(isSample(decompress(withTrailer(format, bytes, sample.length), format, options)))
    const wrong = withTrailer(format, bytes, sample.length).slice()
    wrong[wrong.length - 1]! ^= 1
    t.equal(
      codeOf(() => decompress(wrong, format, options)),
      'XT_BOOT_BAD_COMPRESSED_DATA',
    )
  })

  t.test(`${name} that unpacks to more than the limit is refused`, async (t) => {
    const options = { name: 'k', limit: sample.length - 1, hasSizeTrailer: false }
    t.equal(
      codeOf(() => decompress(bytes, format, options)),
      'XT_BOOT_KERNEL_TOO_LARGE',
    )
  })

  t.test(`${name} cut short anywhere is refused or gives all bytes, and nothing else`, async (t) => {
    for (let length = 9; length < bytes.length; length += 7) {
      const cut = withTrailer(format, bytes.slice(0, length), sample.length)
      const code = codeOf(() => {
        const out = decompress(cut, format, { name: 'k', limit: LIMIT, hasSizeTrailer: true })
        t.equal(out.length, sample.length)
      })
      if (code !== 'none')
        t.match(code, /^XT_BOOT_(BAD_COMPRESSED_DATA|KERNEL_TOO_LARGE)$/, `cut at ${length}`)
    }
  })

  t.test(`${name} with damaged bytes ends in the bytes or in an XtError, within the limit`, async () => {
    const limit = 1 << 20
    const damage = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(damage, (edits) => {
        const damaged = bytes.slice()
        for (const [at, value] of edits) damaged[at] = value
        try {
          const out = decompress(damaged, format, { name: 'k', limit, hasSizeTrailer: false })
          return out.length <= limit
        } catch (error) {
          return error instanceof XtError
        }
      }),
      { numRuns: 300 },
    )
  })

  t.test(`${name}: its magic before random bytes ends in an XtError`, async () => {
    const limit = 1 << 20
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
        const bytes2 = Uint8Array.from([...bytes.slice(0, 13), ...noise])
        try {
          return decompress(bytes2, format, { name: 'k', limit, hasSizeTrailer: false }).length <= limit
        } catch (error) {
          return error instanceof XtError
        }
      }),
      { numRuns: 200 },
    )
  })
}

/** Reference programs: what they pack, we unpack. */
const programs: readonly (readonly [program: string, args: readonly string[]])[] = [
  ['xz', ['-c', '--check=crc32', '--x86', '--lzma2=preset=6']],
  ['xz', ['-c', '-0', '--lzma2=preset=1,lc=0,lp=3,pb=0']],
  ['xz', ['-c', '--format=lzma', '-6']],
  ['bzip2', ['-c', '-1']],
  ['lzop', ['-c', '-9']],
  ['lzop', ['-c', '-1']],
  ['lz4', ['-c', '-l', '-q', '-9']],
  ['lz4', ['-c', '-l', '-q', '-1']],
  ['zstd', ['-c', '-q', '-3', '--no-content-size']],
]
for (const [program, args] of programs) {
  const pack = (bytes: Uint8Array) =>
    new Uint8Array(spawnSync(program, args, { input: bytes, maxBuffer: LIMIT }).stdout)
  const isMissing = spawnSync(program, ['--version']).error !== undefined
  const skip = isMissing ? { skip: `${program} is not installed` } : {}

  t.test(`what ${program} ${args.join(' ')} packs comes out again, whatever it is`, skip, async () => {
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 3000 }),
      fc.tuple(fc.nat(40_000), fc.nat()).map(([size, seed]) => sampleBytes(size, seed)),
      fc.tuple(fc.nat(70_000), fc.nat(255)).map(([size, byte]) => new Uint8Array(size).fill(byte)),
    )
    fc.assert(
      fc.property(content, (bytes) => {
        const archive = pack(bytes)
        // lzop and lz4 give an empty file a frame without blocks, which is fine.
        const out = decompress(archive, formatOf(archive)!, {
          name: 'k',
          limit: LIMIT,
          hasSizeTrailer: false,
        })
        return Buffer.compare(out, bytes) === 0
      }),
      { numRuns: 15 },
    )
  })

  t.test(`several megabytes packed by ${program} ${args.join(' ')} come out again`, skip, async (t) => {
    const bytes = sampleBytes(9_500_000, 7)
    const archive = pack(bytes)
    const out = decompress(archive, formatOf(archive)!, { name: 'k', limit: LIMIT, hasSizeTrailer: false })
    t.equal(Buffer.compare(out, bytes), 0)
  })
}

t.test(
  'a gzip ramdisk is unpacked; other files, and gzip followed by more, are left as they are',
  async (t) => {
    const gzip = new Uint8Array(gzipSync(sample))
    t.ok(isSample(gunzipRamdisk(gzip, LIMIT)!))
    t.equal(gunzipRamdisk(sample, LIMIT), undefined)
    t.equal(gunzipRamdisk(Uint8Array.from([...gzip, ...gzip]), LIMIT), undefined)
    t.equal(gunzipRamdisk(Uint8Array.from([...gzip, 1, 2, 3, 4, 5]), LIMIT), undefined)
    t.equal(gunzipRamdisk(gzip.subarray(0, 100), LIMIT), undefined)
    t.equal(gunzipRamdisk(gzip, sample.length - 1), undefined)
  },
)

t.test('unknown bytes have no format', async (t) => {
  t.equal(formatOf(new Uint8Array(0)), undefined)
  t.equal(formatOf(Uint8Array.of(0x1f)), undefined)
  t.equal(formatOf(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46)), undefined)
})
