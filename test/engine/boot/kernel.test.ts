import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { XtError } from '../../../src/base/errors.ts'
import { readKernel } from '../../../src/engine/boot/kernel.ts'
import { bzImage, elfFile } from './elf-file.ts'

const LIMIT = 16 << 20

function failure(file: Uint8Array): XtError | undefined {
  try {
    readKernel(file, 'vmlinuz', LIMIT)
    return undefined
  } catch (error) {
    if (error instanceof XtError) return error
    throw error
  }
}
const codeOf = (file: Uint8Array) => failure(file)?.code

for (const bits of [32, 64] as const) {
  for (const notesIn of ['segment', 'section'] as const) {
    t.test(`a ${bits}-bit ELF kernel with its note in a ${notesIn} gives segments and entry`, async (t) => {
      const data = Uint8Array.from({ length: 5000 }, (_, i) => i)
      const segments = [
        { paddr: 0x200000, data, memSize: 9000 },
        { paddr: 0x100000, data: data.subarray(0, 16) },
      ]
      const { kernel } = readKernel(elfFile({ bits, notesIn, entry: 0x200010, segments }), 'k', LIMIT)
      t.match(kernel, { bits, entry: 0x200010, start: 0x100000, end: 0x200000 + 9000 })
      t.strictSame(
        kernel.segments.map((s) => ({ paddr: s.paddr, memSize: s.memSize, data: s.data.slice() })),
        [
          { paddr: 0x200000, memSize: 9000, data },
          { paddr: 0x100000, memSize: 16, data: data.slice(0, 16) },
        ],
      )
    })
  }
}

t.test('an entry note of eight bytes is read as well', async (t) => {
  t.equal(readKernel(elfFile({ entry: 0x100004, entryBytes: 8 }), 'k', LIMIT).kernel.entry, 0x100004)
})

t.test('a bzImage gives the kernel inside, packed or not, and so does a packed ELF file', async (t) => {
  const elf = elfFile()
  for (const file of [bzImage(elf), bzImage(gzipSync(elf)), gzipSync(elf)]) {
    t.equal(readKernel(file, 'k', LIMIT).kernel.entry, 0x100000)
  }
})

t.test('setup_sects 0 means four sectors', async (t) => {
  const payload = elfFile()
  const file = new Uint8Array(5 * 512 + 0x40 + payload.length)
  file.set(bzImage(payload).subarray(0, 0x300))
  file[0x1f1] = 0
  file.set(payload, 5 * 512 + 0x40)
  t.equal(readKernel(file, 'k', LIMIT).kernel.entry, 0x100000)
})

t.test('each kind of bad file has its own error, which names the file and says what to do', async (t) => {
  const elf = elfFile()
  const cases: readonly (readonly [string, Uint8Array])[] = [
    ['XT_BOOT_NOT_A_KERNEL', new Uint8Array(0)],
    ['XT_BOOT_NOT_A_KERNEL', new TextEncoder().encode('#!/bin/sh\necho hello\n')],
    ['XT_BOOT_NOT_A_KERNEL', new Uint8Array(gzipSync('not a kernel'))],
    ['XT_BOOT_NOT_A_KERNEL', bzImage(new Uint8Array(gzipSync('not a kernel')))],
    ['XT_BOOT_BZIMAGE_TOO_OLD', bzImage(elf, 0x207)],
    ['XT_BOOT_KERNEL_TRUNCATED', bzImage(elf).slice(0, 1500)],
    ['XT_BOOT_KERNEL_TRUNCATED', bzImage(elf).slice(0, 0x220)],
    ['XT_BOOT_KERNEL_TRUNCATED', elf.slice(0, 3000)],
    ['XT_BOOT_KERNEL_TRUNCATED', elf.slice(0, 20)],
    ['XT_BOOT_UNKNOWN_COMPRESSION', bzImage(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))],
    ['XT_BOOT_BAD_COMPRESSED_DATA', bzImage(gzipSync(elf).subarray(0, 60))],
    ['XT_BOOT_KERNEL_TOO_LARGE', bzImage(gzipSync(new Uint8Array(LIMIT + 1)))],
    ['XT_BOOT_KERNEL_WRONG_MACHINE', elfFile({ machine: 183, entry: 0x100000 })],
    ['XT_BOOT_KERNEL_NOT_PVH', elfFile({})],
    ['XT_BOOT_KERNEL_NOT_PVH', elfFile({ bits: 32, notesIn: 'section' })],
    ['XT_BOOT_BAD_ELF', elfFile({ entry: 0x400000 })],
    ['XT_BOOT_BAD_ELF', elfFile({ entry: 0x100000, segments: [] })],
    [
      'XT_BOOT_BAD_ELF',
      elfFile({ entry: 0x100000, segments: [{ paddr: 0x100000, data: new Uint8Array(9), memSize: 8 }] }),
    ],
    [
      'XT_BOOT_BAD_ELF',
      elfFile({
        entry: 0x100000,
        segments: [
          { paddr: 0x100fff, data: new Uint8Array(4) },
          { paddr: 0x100000, data: new Uint8Array(4096) },
        ],
      }),
    ],
  ]
  for (const [code, file] of cases) {
    const error = failure(file)
    t.equal(error?.code, code)
    t.match(error?.message, 'vmlinuz')
    t.type(error?.hint, 'string')
  }
  t.match(failure(elfFile({ bits: 32 }))?.message, '32-bit')
  t.match(failure(elfFile({ machine: 183 }))?.message, 'AArch64')
})

t.test('whatever is overwritten in a kernel file, the answer is a kernel or an XtError', async () => {
  const files = [elfFile(), elfFile({ bits: 32, entry: 0x100000 }), bzImage(elfFile())]
  const edit = fc.tuple(fc.nat(0x260), fc.constantFrom(0, 1, 4, 0x7f, 0x80, 0xff))
  fc.assert(
    fc.property(fc.constantFrom(...files), fc.array(edit, { minLength: 1, maxLength: 8 }), (file, edits) => {
      const damaged = file.slice()
      for (const [at, value] of edits) damaged[at] = value
      codeOf(damaged)
    }),
    { numRuns: 2000 },
  )
})

t.test('random bytes behind the magic words are answered with an XtError', async () => {
  const heads = [
    [0x7f, 0x45, 0x4c, 0x46, 2, 1],
    [0x7f, 0x45, 0x4c, 0x46, 1, 1],
    [0x4d, 0x5a],
  ]
  fc.assert(
    fc.property(fc.constantFrom(...heads), fc.uint8Array({ maxLength: 300 }), (head, tail) => {
      return codeOf(Uint8Array.from([...head, ...tail])) !== undefined
    }),
  )
})
