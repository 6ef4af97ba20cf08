import t from 'tap'
import { type Format, f32, f64 } from '../../../../src/plugins/cpu-software/fp/format.ts'
import { sseAssists } from '../../../../src/plugins/cpu-software/fp/sse.ts'
import { fxImage, readFx } from '../../../host-oracle/fx-image.ts'
import { COMPLETED, type HostCase, hostOracle } from '../../../host-oracle/oracle.ts'
import { mxcsr, type Source, source, vectorPair } from './operands.ts'

/**
 * How each instruction is encoded with XMM0 as destination and XMM1 as source, what its lanes hold, and which
 * register of the host holds its result. General registers are RAX and RAX, MMX registers MM0 and MM1.
 */
interface Form {
  readonly name: string
  readonly code: readonly number[]
  readonly lanes: Format | 'int'
  readonly from?: 'gpr' | 'mmx'
  readonly to?: 'gpr' | 'mmx'
  readonly bits?: 32 | 64
  readonly imm?: boolean
}

const PREFIX = { PS: [], PD: [0x66], SS: [0xf3], SD: [0xf2] } as const
type Suffix = keyof typeof PREFIX
const suffixes = Object.keys(PREFIX) as Suffix[]
const lanesOf = (suffix: Suffix): Format => (suffix.endsWith('S') ? f32 : f64)

const four = (name: string, opcode: number, imm = false): Form[] =>
  suffixes.map((suffix) => ({
    name: name + suffix,
    code: [...PREFIX[suffix], 0x0f, opcode, 0xc1],
    lanes: lanesOf(suffix),
    imm,
  }))

const form = (name: string, lanes: Format | 'int', ...code: number[]): Form => ({ name, code, lanes })
const immediate = (name: string, lanes: Format, ...code: number[]): Form => ({ name, code, lanes, imm: true })

const scalarConversions = (['SS', 'SD'] as const).flatMap((suffix): Form[] =>
  ([32, 64] as const).flatMap((bits): Form[] => {
    const rex = bits === 64 ? [0x48] : []
    const prefix = [...PREFIX[suffix], ...rex, 0x0f]
    const lanes = lanesOf(suffix)
    return [
      { name: `CVT${suffix}2SI r${bits}`, code: [...prefix, 0x2d, 0xc1], lanes, to: 'gpr', bits },
      { name: `CVTT${suffix}2SI r${bits}`, code: [...prefix, 0x2c, 0xc1], lanes, to: 'gpr', bits },
      { name: `CVTSI2${suffix} r${bits}`, code: [...prefix, 0x2a, 0xc0], lanes: 'int', from: 'gpr', bits },
    ]
  }),
)

const forms: Form[] = [
  ...four('ADD', 0x58),
  ...four('SUB', 0x5c),
  ...four('MUL', 0x59),
  ...four('DIV', 0x5e),
  ...four('SQRT', 0x51),
  ...four('MIN', 0x5d),
  ...four('MAX', 0x5f),
  ...four('CMP', 0xc2, true),
  immediate('ROUNDPS', f32, 0x66, 0x0f, 0x3a, 0x08, 0xc1),
  immediate('ROUNDPD', f64, 0x66, 0x0f, 0x3a, 0x09, 0xc1),
  immediate('ROUNDSS', f32, 0x66, 0x0f, 0x3a, 0x0a, 0xc1),
  immediate('ROUNDSD', f64, 0x66, 0x0f, 0x3a, 0x0b, 0xc1),
  immediate('DPPS', f32, 0x66, 0x0f, 0x3a, 0x40, 0xc1),
  immediate('DPPD', f64, 0x66, 0x0f, 0x3a, 0x41, 0xc1),
  form('HADDPS', f32, 0xf2, 0x0f, 0x7c, 0xc1),
  form('HADDPD', f64, 0x66, 0x0f, 0x7c, 0xc1),
  form('HSUBPS', f32, 0xf2, 0x0f, 0x7d, 0xc1),
  form('HSUBPD', f64, 0x66, 0x0f, 0x7d, 0xc1),
  form('ADDSUBPS', f32, 0xf2, 0x0f, 0xd0, 0xc1),
  form('ADDSUBPD', f64, 0x66, 0x0f, 0xd0, 0xc1),
  form('UCOMISS', f32, 0x0f, 0x2e, 0xc1),
  form('UCOMISD', f64, 0x66, 0x0f, 0x2e, 0xc1),
  form('COMISS', f32, 0x0f, 0x2f, 0xc1),
  form('COMISD', f64, 0x66, 0x0f, 0x2f, 0xc1),
  form('CVTSS2SD', f32, 0xf3, 0x0f, 0x5a, 0xc1),
  form('CVTSD2SS', f64, 0xf2, 0x0f, 0x5a, 0xc1),
  form('CVTPS2PD', f32, 0x0f, 0x5a, 0xc1),
  form('CVTPD2PS', f64, 0x66, 0x0f, 0x5a, 0xc1),
  form('CVTDQ2PS', 'int', 0x0f, 0x5b, 0xc1),
  form('CVTDQ2PD', 'int', 0xf3, 0x0f, 0xe6, 0xc1),
  form('CVTPS2DQ', f32, 0x66, 0x0f, 0x5b, 0xc1),
  form('CVTTPS2DQ', f32, 0xf3, 0x0f, 0x5b, 0xc1),
  form('CVTPD2DQ', f64, 0xf2, 0x0f, 0xe6, 0xc1),
  form('CVTTPD2DQ', f64, 0x66, 0x0f, 0xe6, 0xc1),
  ...scalarConversions,
  { name: 'CVTPI2PS', code: [0x0f, 0x2a, 0xc1], lanes: 'int', from: 'mmx' },
  { name: 'CVTPI2PD', code: [0x66, 0x0f, 0x2a, 0xc1], lanes: 'int', from: 'mmx' },
  { name: 'CVTPS2PI', code: [0x0f, 0x2d, 0xc1], lanes: f32, to: 'mmx' },
  { name: 'CVTTPS2PI', code: [0x0f, 0x2c, 0xc1], lanes: f32, to: 'mmx' },
  { name: 'CVTPD2PI', code: [0x66, 0x0f, 0x2d, 0xc1], lanes: f64, to: 'mmx' },
  { name: 'CVTTPD2PI', code: [0x66, 0x0f, 0x2c, 0xc1], lanes: f64, to: 'mmx' },
]

interface Trial {
  readonly mxcsr: number
  readonly dst: bigint
  readonly src: bigint
  readonly imm: number
}

function trial(s: Source, lanes: Format | 'int'): Trial {
  const [dst, src] = vectorPair(s, lanes === 'int' ? f64 : lanes)
  const integer = s.bits(128) >> BigInt(s.below(127))
  return { mxcsr: mxcsr(s), dst, src: lanes === 'int' ? integer : src, imm: s.below(256) }
}

const low64 = (n: bigint): bigint => BigInt.asUintN(64, n)

function hostCase(f: Form, x: Trial): HostCase {
  const code = Uint8Array.from(f.imm ? [...f.code, x.imm] : f.code)
  const fx = fxImage({
    mxcsr: x.mxcsr,
    xmm: [x.dst, x.src],
    st: [0n, 0xffff_0000_0000_0000_0000n | low64(x.src)],
  })
  return { code, fx, gpr: [low64(x.src)] }
}

const oracle = hostOracle()
const skip = oracle.kind === 'missing' ? oracle.reason : false
const runOnHost = oracle.kind === 'ready' ? oracle.runOnHost : () => []

/** Enough for each pair of edge classes in each rounding; about 80 ms per form. */
const TRIALS = 3000

for (const [index, f] of forms.entries()) {
  t.test(`${f.name} gives the host's result, flags and faults`, { skip }, async (t) => {
    const s = source(0x5eed + index)
    const trials = Array.from({ length: TRIALS }, () => trial(s, f.lanes))
    const host = runOnHost(trials.map((x) => hostCase(f, x)))
    const assist = sseAssists.get(f.name)!
    const wrong: string[] = []
    for (const [i, x] of trials.entries()) {
      const h = host[i]!
      const after = readFx(h.fx)
      const ours = assist(x.mxcsr, x.dst, x.src, x.imm)
      const fault = h.vector === 19
      if (!fault && h.vector !== COMPLETED) wrong.push(`vector ${h.vector}`)
      const hostResult = f.to === 'gpr' ? h.gpr[0]! : f.to === 'mmx' ? low64(after.st[0]!) : after.xmm[0]!
      const eflags = ours.eflags ?? Number(h.rflags & 0x8d5n)
      const same =
        fault === ours.fault &&
        after.mxcsr === ours.mxcsr &&
        (fault || (hostResult === ours.result && Number(h.rflags & 0x8d5n) === eflags))
      if (!same) {
        const hex = (n: bigint | number): string => n.toString(16)
        wrong.push(
          `mxcsr ${hex(x.mxcsr)} dst ${hex(x.dst)} src ${hex(x.src)} imm ${hex(x.imm)}: ` +
            `host ${fault ? 'fault' : hex(hostResult)} mxcsr ${hex(after.mxcsr)}, ` +
            `ours ${ours.fault ? 'fault' : hex(ours.result)} mxcsr ${hex(ours.mxcsr)}`,
        )
      }
    }
    t.same(wrong.slice(0, 5), [], `${wrong.length} of ${TRIALS} differ`)
  })
}
