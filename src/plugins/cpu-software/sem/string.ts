/** String instructions and their REP forms (SDM vol. 2: MOVS STOS LODS CMPS SCAS). One element a step: interrupts come between steps. Of REP MOVS and REP STOS a step may be many. */
import type { Meaning, Vocabulary, Width } from '../read/vocabulary.ts'

const RCX = 1
const RSI = 6
const RDI = 7

type Body = (s: Vocabulary, w: Width) => void
const advance = (s: Vocabulary, w: Width, ...registers: number[]) => {
  const stride = s.keep(s.mul(s.direction(), s.const(w / 8)))
  for (const n of registers) s.setAddressReg(n, s.add(s.addressReg(n), stride))
}

const movs: Body = (s, w) => {
  s.store(w, s.destinationAddress(), s.load(w, s.sourceAddress()))
  advance(s, w, RSI, RDI)
}
const stos: Body = (s, w) => {
  s.store(w, s.destinationAddress(), s.reg(0, w))
  advance(s, w, RDI)
}
const lods: Body = (s, w) => {
  const v = s.load(w, s.sourceAddress())
  s.setReg(0, w, v)
  advance(s, w, RSI)
}
const cmps: Body = (s, w) => {
  const a = s.load(w, s.sourceAddress())
  const b = s.load(w, s.destinationAddress())
  advance(s, w, RSI, RDI)
  s.flagsOfSub(w, a, b, s.keep(s.zext(w, s.sub(a, b))))
}
const scas: Body = (s, w) => {
  const a = s.reg(0, w)
  const b = s.load(w, s.destinationAddress())
  advance(s, w, RDI)
  s.flagsOfSub(w, a, b, s.keep(s.zext(w, s.sub(a, b))))
}

/** One step of a repeated form: nothing when the count is zero; else a step, and again while it goes on. */
const repeated = (body: Body, until: 'E' | 'NE' | undefined): Meaning => ({
  access: [],
  run: (s, w) => s.when(s.ne(s.addressReg(RCX), s.const(0)), () => step(s, w, body, until)),
})
function step(s: Vocabulary, w: Width, body: Body, until: 'E' | 'NE' | undefined): void {
  body(s, w)
  const left = s.keep(s.sub(s.addressReg(RCX), s.const(1)))
  s.setAddressReg(RCX, left)
  const more = s.ne(left, s.const(0))
  s.when(until === undefined ? more : s.allOf(more, s.condition(until === 'E' ? 'NE' : 'E')), () => s.again())
}

/** The same of MOVS and STOS: many elements upwards, or one step. */
const repeatedRun = (body: Body, what: 'move' | 'store'): Meaning => ({
  access: [],
  run: (s, w) =>
    s.when(s.ne(s.addressReg(RCX), s.const(0)), () => {
      const done = s.keep(s.atOnce(w, what))
      s.when(
        s.isZero(done),
        () => step(s, w, body, undefined),
        () => {
          const bytes = s.keep(s.mul(done, s.const(w / 8)))
          for (const n of what === 'move' ? [RSI, RDI] : [RDI])
            s.setAddressReg(n, s.add(s.addressReg(n), bytes))
          const left = s.keep(s.sub(s.addressReg(RCX), done))
          s.setAddressReg(RCX, left)
          s.when(s.ne(left, s.const(0)), () => s.again())
        },
      )
    }),
})

/** Keys: the mnemonic, with ' REP' (F3) or ' REPNE' (F2) for the repeated forms. */
export const string: Record<string, Meaning> = {}
const runs: Readonly<Record<string, 'move' | 'store'>> = { MOVS: 'move', STOS: 'store' }
for (const [name, body, compares] of [
  ['MOVS', movs, false],
  ['STOS', stos, false],
  ['LODS', lods, false],
  ['CMPS', cmps, true],
  ['SCAS', scas, true],
] as const) {
  string[name] = { access: [], run: body }
  const run = runs[name]
  for (const [prefix, until] of [
    ['REP', 'NE'],
    ['REPNE', 'E'],
  ] as const)
    string[`${name} ${prefix}`] =
      run === undefined ? repeated(body, compares ? until : undefined) : repeatedRun(body, run)
}
