import fc from 'fast-check'
import t from 'tap'
import { f32 } from '../../../../src/plugins/cpu-software/fp/format.ts'
import { sseAssists } from '../../../../src/plugins/cpu-software/fp/sse.ts'
import { fxImage, readFx } from '../../../host-oracle/fx-image.ts'
import { hostOracle } from '../../../host-oracle/oracle.ts'
import { operand, source } from './operands.ts'

const oracle = hostOracle()
const skip = oracle.kind === 'missing' ? oracle.reason : false
const runOnHost = oracle.kind === 'ready' ? oracle.runOnHost : () => []

/** The architecture's bound on the relative error. */
const BOUND = 1.5 * 2 ** -12

const words = new DataView(new ArrayBuffer(4))
const bitsOf = (value: number): bigint => {
  words.setFloat32(0, value)
  return BigInt(words.getUint32(0))
}
const numberOf = (bits: bigint): number => {
  words.setUint32(0, Number(bits))
  return words.getFloat32(0)
}

const forms = [
  { name: 'RCPSS', code: [0xf3, 0x0f, 0x53, 0xc1], exact: (x: number) => 1 / x },
  { name: 'RSQRTSS', code: [0xf3, 0x0f, 0x52, 0xc1], exact: (x: number) => 1 / Math.sqrt(x) },
] as const

const ours = (name: string, src: bigint): bigint => sseAssists.get(name)!(0x1f80, 0n, src, 0).result

for (const { name, code, exact } of forms) {
  t.test(`${name} is within 1.5 * 2^-12 of the exact value, and the same every time`, async (t) => {
    const normal = fc.double({ min: 2 ** -126, max: 2 ** 125, noNaN: true }).map(Math.fround)
    fc.assert(
      fc.property(normal, (x) => {
        const result = ours(name, bitsOf(x))
        const error = Math.abs(numberOf(result) / exact(x) - 1)
        return error <= BOUND && result === ours(name, bitsOf(x))
      }),
      { numRuns: 2000 },
    )
    t.pass()
  })

  t.test(
    `${name} treats zeros, denormals, infinities, NaNs and negatives like the host`,
    { skip },
    async (t) => {
      const s = source(0xcc)
      const sources = Array.from({ length: 2000 }, () => operand(s, f32))
      const host = runOnHost(
        sources.map((src) => ({
          code: Uint8Array.from(code),
          fx: fxImage({ xmm: [0n, src], mxcsr: 0x1f80 }),
        })),
      )
      const wrong = sources.flatMap((src, i) => {
        const fx = readFx(host[i]!.fx)
        const [a, b] = [numberOf(BigInt.asUintN(32, fx.xmm[0]!)), numberOf(ours(name, src))]
        // Around 2^-126, an approximation may or may not be small enough to be flushed to zero.
        const flushed = Math.abs(a) + Math.abs(b) <= 2 ** -125
        const close = Object.is(a, b) || flushed || Math.abs(a - b) <= 2 * BOUND * Math.abs(a)
        return close && fx.mxcsr === 0x1f80 ? [] : [`${src.toString(16)}: host ${a}, ours ${b}`]
      })
      t.same(wrong, [])
    },
  )
}
