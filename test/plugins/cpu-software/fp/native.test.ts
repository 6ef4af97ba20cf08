/**
 * SSE floating point in WebAssembly's arithmetic against the host's processor: result, MXCSR and flags, with the
 * exceptions masked as programs leave them. Operands are ordinary numbers, products and quotients that are exact or
 * just not, ends of the range, and the edges of the other tests. How often the assist was needed is counted.
 */
import t from 'tap'
import { type Format, f32, f64 } from '../../../../src/plugins/cpu-software/fp/format.ts'
import { encodeRow } from '../../../../src/plugins/cpu-software/isa/encode.ts'
import type { RegisterName } from '../../../../src/plugins/cpu-software/isa/operand.ts'
import type { Row } from '../../../../src/plugins/cpu-software/isa/row.ts'
import { VECTOR_MEANINGS } from '../../../../src/plugins/cpu-software/sem/vector-meanings.ts'
import { fxImage, readFx } from '../../../host-oracle/fx-image.ts'
import { type HostCase, type HostResult, hostOracle } from '../../../host-oracle/oracle.ts'
import { CodeRunner } from '../run-code.ts'
import { operandPair, type Source, source } from './operands.ts'

const TRIALS = 1500
const MASKED = 0x1f80
const PRECISION = 0x20
const ARITHMETIC_FLAGS = 0x8d5n

const oracle = hostOracle()
const skip = oracle.kind === 'missing' ? oracle.reason : false

const words = new DataView(new ArrayBuffer(8))
function bitsOf(f: Format, value: number): bigint {
  if (f === f32) {
    words.setFloat32(0, value)
    return BigInt(words.getUint32(0))
  }
  words.setFloat64(0, value)
  return words.getBigUint64(0)
}

/** A number of `bits` significant bits. */
const short = (s: Source, bits: number): number =>
  Number(s.bits(bits)) * 2 ** (s.below(41) - 20) * (s.below(2) === 0 ? 1 : -1)

/** Two operands; half of the time such that operations on them are exact, or off by little. */
function lanePair(s: Source, f: Format): [bigint, bigint] {
  const half = Math.ceil(f.precision / 2) - 1 + s.below(4)
  const [a, b] = [short(s, half), short(s, half)]
  const encode = (x: number, y: number): [bigint, bigint] => [bitsOf(f, x), bitsOf(f, y)]
  switch (s.below(8)) {
    case 0:
      return encode(a, b)
    case 1:
      return encode(a * b, a)
    case 2:
      return encode(a, a * a)
    case 3:
      return encode(s.below(1000), s.below(1000) - 500)
    case 4:
      return encode(a * 2 ** (f === f64 ? 990 : 110), b * 2 ** (f === f64 ? -990 : -110))
    case 5:
      return encode(a * Math.PI, b * Math.E)
    default:
      return operandPair(s, f)
  }
}
function vectors(s: Source, f: Format): [bigint, bigint] {
  let [a, b] = [0n, 0n]
  for (let n = 0; n < 128 / f.bits; n++) {
    const [x, y] = lanePair(s, f)
    a = (a << BigInt(f.bits)) | x
    b = (b << BigInt(f.bits)) | y
  }
  return [a, b]
}

/** Destination XMM0 or RAX, source XMM1 or RCX. */
function codeOf(row: Row, immediate: number): Uint8Array {
  const operands = row.operands.map((o, n) => {
    if (o.kind === 'imm') return immediate
    if (o.kind.startsWith('xmm')) return `xmm${n}` as RegisterName
    const names = o.width === 64 ? (['rax', 'rcx'] as const) : (['eax', 'ecx'] as const)
    return names[n]!
  })
  return Uint8Array.from(encodeRow(row, operands, 64)!.bytes)
}

function caseOf(s: Source, row: Row): HostCase {
  const isSingle = /(PS|SS|SS2SI|SS2SD)$/.test(row.mnemonic) && !/PD2PS|SD2SS/.test(row.mnemonic)
  const integers = /^CVT(SI|DQ)2/.test(row.mnemonic)
  const [dst, src] = vectors(s, isSingle ? f32 : f64)
  const integer = BigInt.asUintN(64, BigInt.asIntN(64, s.bits(64)) >> BigInt(s.below(64)))
  const from = integers ? integer | (s.bits(64) << 64n) : src
  const mxcsr = MASKED | (s.below(3) === 0 ? PRECISION : 0)
  return {
    code: codeOf(row, s.below(256)),
    gpr: [s.bits(64), integer],
    fx: fxImage({ mxcsr, xmm: [dst, from] }),
  }
}

const outcome = ({ vector, gpr, rflags, fx }: HostResult): string => {
  const { mxcsr, xmm } = readFx(fx)
  const values = [xmm[0]!, gpr[0]!, mxcsr, rflags & ARITHMETIC_FLAGS].map((value) => value.toString(16))
  return [vector, ...values].join(' ')
}

const rows = Object.values(VECTOR_MEANINGS).filter(({ assisted }) => assisted)

t.test('arithmetic in WebAssembly gives what the host gives', { skip }, async (t) => {
  const runner = new CodeRunner()
  const { code } = runner.cpu
  const { assist } = code
  let assists = 0
  let form = ''
  code.assist = function (uop) {
    const op = assist.call(this, uop)
    if (op.row.form === form) assists++
    return op
  }
  for (const [index, { row }] of rows.entries()) {
    const s = source(0xf10a + index)
    const cases = Array.from({ length: TRIALS }, () => caseOf(s, row))
    const host = oracle.kind === 'ready' ? oracle.runOnHost(cases) : []
    assists = 0
    form = row.form
    const wrong: string[] = []
    for (const [n, one] of cases.entries()) {
      const [ours, theirs] = [outcome(runner.run(one)), outcome(host[n]!)]
      if (ours !== theirs) {
        const { mxcsr, xmm } = readFx(one.fx!)
        wrong.push(
          `${xmm[0]!.toString(16)} ${xmm[1]!.toString(16)} ${mxcsr.toString(16)}: ${ours}, host ${theirs}`,
        )
      }
    }
    t.same(wrong.slice(0, 3), [], `${row.form}: ${wrong.length} of ${TRIALS} differ`)
    t.ok(assists < TRIALS * 0.99, `${row.form}: the assist was needed in ${assists} of ${TRIALS} trials`)
  }
})
