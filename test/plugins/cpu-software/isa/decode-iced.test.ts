/** Our decoder against iced-x86: every opcode, ModRM and prefix that matters, and random byte strings. */
import fc from 'fast-check'
import t from 'tap'
import { difference } from './iced.ts'

type Mode = 64 | 32 | 16

/** SIB, displacement and immediate bytes: all different, some with the sign bit. */
const TAIL = [0x11, 0x82, 0x93, 0x24, 0x35, 0x86, 0x57, 0x68, 0x19, 0x2a, 0x3b, 0x4c]
const MAPS = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]]

/** Each prefix list with all ModRM bytes. */
const FULL: Record<Mode, number[][]> = { 64: [[], [0x66]], 32: [[]], 16: [[]] }
/** And these with a few ModRM bytes for each /digit. */
const SAMPLED: Record<Mode, number[][]> = {
  64: [
    [0xf3], [0xf2], [0x48], [0x41], [0x44], [0x42], [0x40], [0x4f], [0x66, 0x48], [0xf3, 0x48], [0xf2, 0x4c], [0x67], [0xf0], [0xf0, 0x48],
    [0x66, 0xf3], [0xf2, 0x66], [0xf3, 0xf2], [0x64], [0x2e], [0x65, 0x2e], [0x48, 0x66], [0xf0, 0xf3],
  ],
  32: [[0x66], [0xf3], [0xf2], [0x67], [0xf0], [0x66, 0xf2], [0x36], [0x65], [0x64, 0x3e], [0xf0, 0x66]],
  16: [[0x66], [0xf3], [0xf2], [0x67], [0xf0], [0x26], [0x66, 0x67]],
} // biome-ignore format: a table
const MODRM_KINDS = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((reg) => [
  // Memory with mod 0, 1, 2 in turn and SIB or RIP; two registers.
  ((reg % 3) << 6) | (reg << 3) | (4 + (reg & 1)),
  0xc0 | (reg << 3) | reg,
  0xc0 | (reg << 3) | (7 - reg),
])

/** iced has no case for these: processors exchange with R8 when REX.B is there, tried on one. */
const isExchangeWithR8 = (difference: string) => /^XCHG .*: iced says Pause$/.test(difference)

function differences(mode: Mode, prefixes: readonly number[], modrms: readonly number[]): string[] {
  const found = new Set<string>()
  for (const map of MAPS) {
    for (let opcode = 0; opcode < 256; opcode++) {
      for (const modrm of modrms) {
        const bytes = Uint8Array.from([...prefixes, ...map, opcode, modrm, ...TAIL]).subarray(0, 15)
        const what = difference(bytes, mode)
        if (what !== undefined && !isExchangeWithR8(what))
          found.add(`${Buffer.from(bytes).toString('hex')}: ${what}`)
      }
    }
  }
  return [...found].slice(0, 20)
}

const hexOf = (prefixes: readonly number[]) =>
  prefixes.map((byte) => byte.toString(16)).join(' ') || 'no prefix'
const ALL_MODRM = Array.from({ length: 256 }, (_, modrm) => modrm)

for (const mode of [64, 32, 16] as const) {
  t.test(`every opcode decodes in ${mode}-bit mode as iced decodes it`, (t) => {
    for (const prefixes of FULL[mode]) t.same(differences(mode, prefixes, ALL_MODRM), [], hexOf(prefixes))
    for (const prefixes of SAMPLED[mode])
      t.same(differences(mode, prefixes, MODRM_KINDS), [], hexOf(prefixes))
    t.end()
  })

  t.test(`random bytes decode in ${mode}-bit mode as iced decodes them`, (t) => {
    const prefix = fc.constantFrom(
      0x66,
      0x67,
      0xf0,
      0xf2,
      0xf3,
      0x26,
      0x2e,
      0x36,
      0x3e,
      0x64,
      0x65,
      0x40,
      0x48,
      0x4f,
    )
    const bytes = fc
      .tuple(
        fc.array(prefix, { maxLength: 4 }),
        fc.constantFrom(...MAPS),
        fc.uint8Array({ minLength: 15, maxLength: 15 }),
      )
      .map(([prefixes, map, rest]) => Uint8Array.from([...prefixes, ...map, ...rest]).subarray(0, 15))
    fc.assert(
      fc.property(bytes, (bytes) => {
        const what = difference(bytes, mode)
        if (what !== undefined && !isExchangeWithR8(what)) throw new Error(what)
      }),
      { numRuns: 20000 },
    )
    t.end()
  })
}
