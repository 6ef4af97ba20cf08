/**
 * Binary floating-point formats as x86 has them (f32, f64, f80), taking values apart, and rounding exact results
 * into them. Intel SDM volume 1, chapter 4.8 (formats, NaNs) and 4.9 (exceptions, unmasked results of the x87).
 *
 * Encoded values are bigints of `Format.bits` bits. Inside, a finite value is an exact `sig * 2^exp`.
 */

/** Exception bits, at the same place in MXCSR and in the x87 status and control words. */
export const IE = 0x01
export const DE = 0x02
export const ZE = 0x04
export const OE = 0x08
export const UE = 0x10
export const PE = 0x20
export const ALL_EXCEPTIONS = 0x3f

/** Rounding control, as encoded in MXCSR and the x87 control word. */
export const NEAREST = 0
export const DOWN = 1
export const UP = 2
export const TO_ZERO = 3
export type Rounding = 0 | 1 | 2 | 3

export interface Format {
  readonly bits: number
  /** Significant bits, the leading one included. */
  readonly precision: number
  readonly emin: number
  readonly emax: number
  /** The leading bit is stored (f80). */
  readonly explicit: boolean
  /** Width of the stored significand. */
  readonly fieldBits: bigint
  readonly fieldMask: bigint
  readonly exponentMask: number
  readonly signBit: bigint
  readonly leadingBit: bigint
  readonly quietBit: bigint
  readonly infinity: bigint
  /** "Real indefinite": negative quiet NaN with an empty payload. */
  readonly defaultNaN: bigint
}

function format(bits: number, exponentBits: number, precision: number, explicit: boolean): Format {
  const fieldBits = BigInt(explicit ? precision : precision - 1)
  const exponentMask = (1 << exponentBits) - 1
  const emax = exponentMask >> 1
  const leadingBit = 1n << BigInt(precision - 1)
  const quietBit = 1n << BigInt(precision - 2)
  const signBit = 1n << BigInt(bits - 1)
  const infinity = (BigInt(exponentMask) << fieldBits) | (explicit ? leadingBit : 0n)
  return {
    bits,
    precision,
    emin: 1 - emax,
    emax,
    explicit,
    fieldBits,
    fieldMask: (1n << fieldBits) - 1n,
    exponentMask,
    signBit,
    leadingBit,
    quietBit,
    infinity,
    defaultNaN: signBit | infinity | quietBit,
  }
}

export const f32 = format(32, 8, 24, false)
export const f64 = format(64, 11, 53, false)
export const f80 = format(80, 15, 64, true)

/** What an operation obeys, and where it leaves what it noticed. One object serves one instruction. */
export interface FpContext {
  readonly rounding: Rounding
  /** Significant bits of rounded f80 results (x87 precision control); f32 and f64 ignore it. */
  readonly precision: number
  /** Denormal operands count as zero (SSE). */
  readonly daz: boolean
  /** Tiny results become zero while underflow is masked (SSE). */
  readonly ftz: boolean
  /** Which NaN of two survives: SSE takes the first operand's, the x87 the one with the larger significand. */
  readonly nanRule: 'first' | 'larger'
  /** Unmasked exceptions: they change overflow and underflow, and end an instruction before its rounding. */
  readonly unmasked: number
  /** Exceptions noticed so far. */
  flags: number
  /** The last rounding made the magnitude larger (C1 of the x87). */
  roundedUp: boolean
}

/** Context of an SSE instruction under this MXCSR. */
export function sseContext(mxcsr: number): FpContext {
  return {
    rounding: ((mxcsr >> 13) & 3) as Rounding,
    precision: 64,
    daz: (mxcsr & 0x40) !== 0,
    ftz: (mxcsr & 0x8000) !== 0,
    nanRule: 'first',
    unmasked: ~(mxcsr >> 7) & ALL_EXCEPTIONS,
    flags: 0,
    roundedUp: false,
  }
}

/** Significant bits per precision-control value; 1 is reserved and behaves as 64. */
const PRECISION_OF_PC = [24, 64, 53, 64] as const

/** Context of an x87 instruction under this control word. */
export function x87Context(fcw: number): FpContext {
  return {
    rounding: ((fcw >> 10) & 3) as Rounding,
    precision: PRECISION_OF_PC[(fcw >> 8) & 3] ?? 64,
    daz: false,
    ftz: false,
    nanRule: 'larger',
    unmasked: ~fcw & ALL_EXCEPTIONS,
    flags: 0,
    roundedUp: false,
  }
}

export const ZERO = 0
export const FINITE = 1
export const INFINITE = 2
export const QNAN = 3
export const SNAN = 4
/** An f80 encoding that no operation accepts: unnormal, pseudo-infinity, pseudo-NaN. */
export const UNSUPPORTED = 5

export interface Unpacked {
  readonly kind: 0 | 1 | 2 | 3 | 4 | 5
  readonly sign: 0 | 1
  /** FINITE: the value is sig * 2^exp. */
  readonly exp: number
  readonly sig: bigint
  /** Raises the denormal-operand exception where an operation has it; false for those that DAZ took to zero. */
  readonly denormal: boolean
  readonly bits: bigint
}

export function unpack(c: FpContext, f: Format, bits: bigint): Unpacked {
  const sign = (bits & f.signBit) === 0n ? 0 : 1
  const biased = Number(bits >> f.fieldBits) & f.exponentMask
  const field = bits & f.fieldMask
  const special = (kind: Unpacked['kind'], sig = 0n): Unpacked => ({
    kind,
    sign,
    exp: 0,
    sig,
    denormal: false,
    bits,
  })
  if (biased === 0) {
    if (field === 0n || c.daz) return special(ZERO)
    return { kind: FINITE, sign, exp: f.emin - f.precision + 1, sig: field, denormal: true, bits }
  }
  if (f.explicit && (field & f.leadingBit) === 0n) return special(UNSUPPORTED)
  const sig = field | f.leadingBit
  if (biased === f.exponentMask) {
    if (sig === f.leadingBit) return special(INFINITE)
    return special((field & f.quietBit) === 0n ? SNAN : QNAN, sig)
  }
  return { kind: FINITE, sign, exp: biased - f.emax - f.precision + 1, sig, denormal: false, bits }
}

export const zero = (f: Format, sign: 0 | 1): bigint => (sign === 0 ? 0n : f.signBit)
export const infinity = (f: Format, sign: 0 | 1): bigint => zero(f, sign) | f.infinity

/** Answer to an invalid operation. */
export function invalid(c: FpContext, f: Format): bigint {
  c.flags |= IE
  return f.defaultNaN
}

/** A NaN, or an encoding that counts as none of the numbers. */
export const hasNoValue = (x: Unpacked): boolean => x.kind >= QNAN

/** Result of an operation of which at least one operand is a NaN or unsupported. */
export function propagateNaN(c: FpContext, f: Format, x: Unpacked, y: Unpacked = x): bigint {
  if (x.kind === UNSUPPORTED || y.kind === UNSUPPORTED) return invalid(c, f)
  if (x.kind === SNAN || y.kind === SNAN) c.flags |= IE
  return chooseNaN(c, x, y).bits | f.quietBit
}

function chooseNaN(c: FpContext, x: Unpacked, y: Unpacked): Unpacked {
  if (!hasNoValue(y)) return x
  if (!hasNoValue(x)) return y
  if (c.nanRule === 'first') return x
  if (x.kind !== y.kind) return x.kind === QNAN ? x : y
  if (x.sig !== y.sig) return x.sig > y.sig ? x : y
  return x.sign === 0 ? x : y
}

/** Notes denormal operands; true if that ends the instruction, because the exception is unmasked. */
export function denormalEnds(c: FpContext, x: Unpacked, y: Unpacked = x): boolean {
  if (!x.denormal && !y.denormal) return false
  c.flags |= DE
  return (c.unmasked & DE) !== 0
}

const float = new Float64Array(1)
const floatWords = new Uint32Array(float.buffer)

/** Number of bits of a positive integer. */
export function bitLength(n: bigint): number {
  float[0] = Number(n)
  if (float[0] === Number.POSITIVE_INFINITY) {
    const digits = n.toString(16)
    return digits.length * 4 - Math.clz32(Number.parseInt(digits[0]!, 16)) + 28
  }
  const length = (floatWords[1]! >>> 20) - 1022
  // Number() may have rounded up to the next power of two.
  return n >> BigInt(length - 1) === 0n ? length - 1 : length
}

/** sig * 2^-shift as an integer, rounded for a value of this sign. */
export function roundShift(rounding: Rounding, sign: 0 | 1, sig: bigint, shift: number): bigint {
  if (shift <= 0) return sig << BigInt(-shift)
  const by = BigInt(shift)
  const q = sig >> by
  const rest = sig - (q << by)
  if (rest === 0n) return q
  if (rounding === NEAREST) {
    const half = 1n << (by - 1n)
    return rest > half || (rest === half && (q & 1n) === 1n) ? q + 1n : q
  }
  return rounding === (sign === 0 ? UP : DOWN) ? q + 1n : q
}

/** Bias by which the x87 moves the exponent of an unmasked overflow or underflow back into range. */
const WRAP = 24576

/**
 * Rounds the exact value (-1)^sign * sig * 2^exp (sig > 0) into the format: overflow, underflow (tininess after
 * rounding), inexact, flush to zero, and the wrapped exponent that the x87 delivers for unmasked OE and UE.
 */
export function roundPack(c: FpContext, f: Format, sign: 0 | 1, exp: number, sig: bigint): bigint {
  const p = f.explicit ? c.precision : f.precision
  const length = bitLength(sig)
  let e = exp + length - 1
  let q = roundShift(c.rounding, sign, sig, length - p)
  noteRounding(c, sig, q, length - p)
  if (q >> BigInt(p) !== 0n) {
    q >>= 1n
    e++
  }
  if (e > f.emax) {
    c.flags |= OE
    if ((c.unmasked & OE) === 0) return overflow(c, f, sign, p)
    e -= WRAP
    // FSCALE can leave even the wrapped range; then infinity or zero is all that remains.
    if (e > f.emax) return beyond(c, infinity(f, sign), true)
  } else if (e < f.emin) {
    if ((c.unmasked & UE) === 0) return underflow(c, f, sign, exp, sig, p)
    c.flags |= UE
    e += WRAP
    if (e < f.emin) return beyond(c, zero(f, sign), false)
  }
  return packNormal(f, sign, e, q << BigInt(f.precision - p))
}

function noteRounding(c: FpContext, exact: bigint, rounded: bigint, shift: number): void {
  const back = shift <= 0 ? exact : rounded << BigInt(shift)
  c.roundedUp = back > exact
  if (back !== exact) c.flags |= PE
}

function beyond(c: FpContext, result: bigint, roundedUp: boolean): bigint {
  c.flags |= PE
  c.roundedUp = roundedUp
  return result
}

function overflow(c: FpContext, f: Format, sign: 0 | 1, p: number): bigint {
  c.flags |= PE
  c.roundedUp = c.rounding === NEAREST || c.rounding === (sign === 0 ? UP : DOWN)
  if (c.roundedUp) return infinity(f, sign)
  return packNormal(f, sign, f.emax, ((1n << BigInt(p)) - 1n) << BigInt(f.precision - p))
}

function underflow(c: FpContext, f: Format, sign: 0 | 1, exp: number, sig: bigint, p: number): bigint {
  c.flags &= ~PE
  if (c.ftz) {
    c.flags |= UE | PE
    return zero(f, sign)
  }
  const shift = f.emin - p + 1 - exp
  const q = roundShift(c.rounding, sign, sig, shift)
  noteRounding(c, sig, q, shift)
  if ((c.flags & PE) !== 0) c.flags |= UE
  const field = q << BigInt(f.precision - p)
  // A carry into the leading bit makes the smallest normal number; implicit formats encode that by themselves.
  return zero(f, sign) | field | (f.explicit && (field & f.leadingBit) !== 0n ? 1n << f.fieldBits : 0n)
}

function packNormal(f: Format, sign: 0 | 1, e: number, sig: bigint): bigint {
  const exponent = BigInt((e + f.emax) & f.exponentMask) << f.fieldBits
  return zero(f, sign) | exponent | (sig & f.fieldMask)
}
