/** MUL IMUL DIV IDIV and the decimal adjustments of 32-bit code (SDM vol. 2). SF ZF AF PF after multiplication are undefined and stay. */
import type { Meaning, Val, Vocabulary, Width } from '../read/vocabulary.ts'

/** rDX:rAX (AX for bytes) = product halves. */
const setWide = (s: Vocabulary, w: Width, low: Val, high: Val) => {
  if (w === 8) s.setReg(0, 16, s.or(low, s.shl(high, s.const(8))))
  else {
    s.setReg(0, w, low)
    s.setReg(2, w, high)
  }
}

const mul =
  (signed: boolean): Meaning['run'] =>
  (s, w) => {
    const a = signed ? s.keep(s.sext(w, s.reg(0, w))) : s.reg(0, w)
    const b = signed ? s.keep(s.sext(w, s.read(0, w))) : s.read(0, w)
    const product = s.keep(s.mul(a, b))
    const low = s.keep(s.zext(w, product))
    const high =
      w === 64
        ? s.keep(signed ? s.mulHighS(a, b) : s.mulHighU(a, b))
        : s.keep(s.zext(w, s.shr(product, s.const(w))))
    const lost = s.keepBool(
      signed ? s.ne(high, s.zext(w, s.sar(s.sext(w, low), s.const(63)))) : s.ne(high, s.const(0)),
    )
    setWide(s, w, low, high)
    s.setFlags({ CF: lost, OF: lost })
  }

/** IMUL with a destination: the product must fit the width. */
const imulInto =
  (first: 0 | 1, second: 1 | 2): Meaning['run'] =>
  (s, w) => {
    const a = s.keep(s.sext(w, s.read(first, w)))
    const b = s.keep(s.sext(w, s.read(second, w)))
    const product = s.keep(s.mul(a, b))
    const lost = s.keepBool(
      w === 64 ? s.ne(s.mulHighS(a, b), s.sar(product, s.const(63))) : s.ne(s.sext(w, product), product),
    )
    s.write(0, w, s.zext(w, product))
    s.setFlags({ CF: lost, OF: lost })
  }

const dividend = (s: Vocabulary, w: Width): Val =>
  w === 8 ? s.reg(0, 16) : s.keep(s.or(s.shl(s.reg(2, w), s.const(w)), s.reg(0, w)))
const setQuotient = (s: Vocabulary, w: Width, q: Val, r: Val) => {
  if (w === 8) s.setReg(0, 16, s.or(s.zext(8, q), s.shl(s.zext(8, r), s.const(8))))
  else {
    s.setReg(0, w, s.zext(w, q))
    s.setReg(2, w, s.zext(w, r))
  }
}

const div: Meaning['run'] = (s, w) => {
  const d = s.read(0, w)
  s.when(s.isZero(d), () => s.fault('DE'))
  if (w === 64) {
    const hi = s.reg(2, 64)
    const lo = s.reg(0, 64)
    s.when(s.isNot(s.ltU(hi, d)), () => s.fault('DE'))
    s.when(
      s.isZero(hi),
      () => setQuotient(s, w, s.divU(lo, d), s.remU(lo, d)),
      () => {
        const [q, r] = s.divWide(hi, lo, d)
        setQuotient(s, w, q, r)
      },
    )
    return
  }
  const n = dividend(s, w)
  const q = s.keep(s.divU(n, d))
  s.when(s.ne(s.shr(q, s.const(w)), s.const(0)), () => s.fault('DE'))
  const r = s.keep(s.remU(n, d))
  setQuotient(s, w, q, r)
}

const idiv: Meaning['run'] = (s, w) => {
  const d = s.keep(s.sext(w, s.read(0, w)))
  s.when(s.isZero(d), () => s.fault('DE'))
  if (w === 64) {
    // Divide magnitudes, then give back the signs: the quotient's from both, the remainder's from the dividend.
    const hi = s.reg(2, 64)
    const lo = s.reg(0, 64)
    const nMinus = s.keepBool(s.ltS(hi, s.const(0)))
    const dMinus = s.keepBool(s.ltS(d, s.const(0)))
    const lowMagnitude = s.keep(s.select(nMinus, s.neg(lo), lo))
    const borrowed = s.word(s.ne(lo, s.const(0)))
    const highMagnitude = s.keep(s.select(nMinus, s.sub(s.neg(hi), borrowed), hi))
    const divisor = s.keep(s.select(dMinus, s.neg(d), d))
    s.when(s.isNot(s.ltU(highMagnitude, divisor)), () => s.fault('DE'))
    const [q, r] = s.divWide(highMagnitude, lowMagnitude, divisor)
    const minus = s.keepBool(s.differ(nMinus, dMinus))
    const limit = s.select(minus, s.const(1n << 63n), s.const((1n << 63n) - 1n))
    s.when(s.ltU(limit, q), () => s.fault('DE'))
    setQuotient(s, w, s.select(minus, s.neg(q), q), s.select(nMinus, s.neg(r), r))
    return
  }
  const n =
    w === 8
      ? s.keep(s.sext(16, s.reg(0, 16)))
      : w === 16
        ? s.keep(s.sext(32, dividend(s, w)))
        : dividend(s, w)
  // The most negative dividend by -1 overflows every width: refused before the host's division would trap.
  if (w === 32) s.when(s.allOf(s.eq(n, s.const(1n << 63n)), s.eq(d, s.const(-1))), () => s.fault('DE'))
  const q = s.keep(s.divS(n, d))
  s.when(s.ne(s.sext(w, q), q), () => s.fault('DE'))
  const r = s.keep(s.remS(n, d))
  setQuotient(s, w, q, r)
}

/** DAA and DAS: the manual's two corrections in order. */
const decimal =
  (sign: 1 | -1): Meaning['run'] =>
  (s) => {
    const al = s.reg(0, 8)
    const oldCarry = s.flag('CF')
    const lowAdjust = s.keepBool(s.anyOf(s.ltU(s.const(9), s.and(al, s.const(15))), s.flag('AF')))
    const highAdjust = s.keepBool(s.anyOf(s.ltU(s.const(0x99), al), oldCarry))
    const amount = s.add(
      s.select(lowAdjust, s.const(6), s.const(0)),
      s.select(highAdjust, s.const(0x60), s.const(0)),
    )
    const z = s.keep(s.zext(8, sign === 1 ? s.add(al, amount) : s.sub(al, amount)))
    // DAS also carries when the low correction borrows.
    const lowCarry = sign === 1 ? s.ltU(s.const(0xf9), al) : s.ltU(al, s.const(6))
    const cf = s.keepBool(s.anyOf(highAdjust, s.allOf(lowAdjust, lowCarry)))
    s.setReg(0, 8, z)
    s.flagsOfResult(8, z, lowAdjust, cf, s.bit(s.const(0), 0))
  }
/** AAA and AAS. */
const ascii =
  (sign: 1 | -1): Meaning['run'] =>
  (s) => {
    const ax = s.reg(0, 16)
    const adjust = s.keepBool(s.anyOf(s.ltU(s.const(9), s.and(ax, s.const(15))), s.flag('AF')))
    const moved = sign === 1 ? s.add(ax, s.const(0x106)) : s.sub(ax, s.const(0x106))
    s.setReg(0, 16, s.and(s.select(adjust, moved, ax), s.const(0xff0f)))
    s.setFlags({ AF: adjust, CF: adjust })
  }

export const multiplyDivide: Readonly<Record<string, Meaning>> = {
  MUL: { access: ['r'], run: mul(false) },
  'IMUL:1': { access: ['r'], run: mul(true) },
  'IMUL:2': { access: ['rw', 'r'], run: imulInto(0, 1) },
  'IMUL:3': { access: ['w', 'r', 'r'], run: imulInto(1, 2) },
  DIV: { access: ['r'], run: div },
  IDIV: { access: ['r'], run: idiv },
  DAA: { access: [], run: decimal(1) },
  DAS: { access: [], run: decimal(-1) },
  AAA: { access: [], run: ascii(1) },
  AAS: { access: [], run: ascii(-1) },
  AAM: {
    access: ['r'],
    run: (s) => {
      const base = s.read(0, 8)
      s.when(s.isZero(base), () => s.fault('DE'))
      const al = s.reg(0, 8)
      const low = s.keep(s.remU(al, base))
      s.setReg(0, 16, s.or(low, s.shl(s.divU(al, base), s.const(8))))
      s.flagsOfLogic(8, low)
    },
  },
  AAD: {
    access: ['r'],
    run: (s) => {
      const ax = s.reg(0, 16)
      const z = s.keep(s.zext(8, s.add(ax, s.mul(s.shr(ax, s.const(8)), s.read(0, 8)))))
      s.setReg(0, 16, z)
      s.flagsOfLogic(8, z)
    },
  },
}
