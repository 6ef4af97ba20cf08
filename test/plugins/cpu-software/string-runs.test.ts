/**
 * REP MOVS and REP STOS of many elements against the host's processor: runs of every length and alignment, one above
 * the other in both directions, across the pages' border and into the fault behind the last one.
 */
import t from 'tap'
import {
  type HostCase,
  type HostResult,
  hostOracle,
  MEMORY_ADDRESS,
  MEMORY_BYTES,
} from '../../host-oracle/oracle.ts'
import { type Source, source } from './fp/operands.ts'
import { runOnSoftware } from './run-code.ts'

const TRIALS = 600
const DF = 0x400n
const oracle = hostOracle()
const skip = oracle.kind === 'missing' ? oracle.reason : false

const OPCODES = {
  MOVSB: [0xf3, 0xa4],
  MOVSW: [0x66, 0xf3, 0xa5],
  MOVSD: [0xf3, 0xa5],
  MOVSQ: [0xf3, 0x48, 0xa5],
  STOSB: [0xf3, 0xaa],
  STOSW: [0x66, 0xf3, 0xab],
  STOSD: [0xf3, 0xab],
  STOSQ: [0xf3, 0x48, 0xab],
} as const
const WIDTH = { B: 1, W: 2, D: 4, Q: 8 } as const

function caseOf(s: Source, name: keyof typeof OPCODES): HostCase {
  const width = WIDTH[name.slice(-1) as keyof typeof WIDTH]
  const bytes = Uint8Array.from({ length: MEMORY_BYTES }, () => s.below(256))
  const place = () => BigInt(MEMORY_ADDRESS + s.below(MEMORY_BYTES))
  const to = place()
  // Near its target, or anywhere.
  const from = s.below(2) === 0 ? to + BigInt(s.below(81) - 40) : place()
  const count = BigInt(Math.floor(s.below(s.pick([16, 300, 5000])) / width))
  const value = s.pick([0n, 0x4141_4141_4141_4141n, s.bits(64)])
  const gpr = [value, count, 0n, 0n, 0n, 0n, from, to]
  const rflags = s.below(4) === 0 ? 0x202n | DF : 0x202n
  return { code: Uint8Array.from(OPCODES[name]), gpr, rflags, memory: { offset: 0, bytes } }
}

const outcome = ({ vector, errorCode, cr2, ripOffset, gpr, memory }: HostResult): unknown => ({
  vector,
  errorCode,
  // Which byte of an element that crosses into the missing page is named is the processor's own.
  page: cr2 >> 12n,
  ripOffset,
  count: gpr[1],
  from: gpr[6],
  to: gpr[7],
  memory: Buffer.from(memory).toString('base64'),
})

for (const [index, name] of (Object.keys(OPCODES) as (keyof typeof OPCODES)[]).entries())
  t.test(`REP ${name} leaves memory and registers as the host does`, { skip }, async (t) => {
    const s = source(0x5e9 + index)
    const cases = Array.from({ length: TRIALS }, () => caseOf(s, name))
    const host = oracle.kind === 'ready' ? oracle.runOnHost(cases) : []
    const ours = runOnSoftware(cases)
    for (const n of cases.keys()) {
      const [a, b] = [outcome(ours[n]!), outcome(host[n]!)]
      if (JSON.stringify(a, text) !== JSON.stringify(b, text)) {
        t.same(a, b, `trial ${n}`)
        break
      }
    }
    t.ok(host.some(({ vector }) => vector === 14) && host.some(({ vector }) => vector === 3))
  })

function text(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}` : value
}
