import t from 'tap'
import type { SeenEvent } from '../../../scripts/compare/compare.ts'
import { describeDifference } from '../../../scripts/compare/report.ts'

const seen = (number: number, rax: bigint): SeenEvent => ({
  number,
  rip: 0xffffffff81000000n,
  registers: [rax, ...Array<bigint>(15).fill(0n)],
  flags: 0x246,
  vectors: Array<bigint>(32).fill(0n),
})

t.test('the first event that differs is shown with the registers of both', async (t) => {
  const text = describeDifference({ before: seen(41, 1n), events: [seen(42, 1n), seen(42, 3n)] }, [
    'off',
    'forced',
  ])
  const lines = text.split('\n')
  t.equal(lines[0], 'The last that is alike is event 41, at ffffffff81000000.')
  t.equal(lines[1], 'Event 42 differs:')
  t.same(
    lines.filter((line) => line.endsWith('<')),
    ['rax     0000000000000001  0000000000000003  <'],
  )
})

t.test('one run may go on where the other ends', async (t) => {
  t.equal(
    describeDifference({ before: undefined, events: [undefined, seen(1, 0n)] }, ['off', 'normal']),
    'After it only normal goes on.',
  )
  t.match(describeDifference(undefined, ['off', 'normal']), 'something besides the processor')
})
