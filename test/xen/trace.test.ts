/** Rings of trace records: what is written comes out, in order, whole or counted as lost. */
import fc from 'fast-check'
import t from 'tap'
import { backendRing, TraceReader, type TraceRecord, TraceWriter, vcpuRing } from '../../src/xen/trace.ts'
import { testDomain } from './fake-vcpu.ts'

function traced() {
  const domain = testDomain()
  let nowMs = 0
  const now = () => ++nowMs
  const reader = new TraceReader(domain.state)
  return { domain, reader, now, writer: (ring: number) => new TraceWriter(domain.state, ring, now) }
}

t.test('nothing is on until somebody looks, and off again afterwards', async (t) => {
  const { reader, writer } = traced()
  const pen = writer(vcpuRing(0))
  t.equal(pen.isOn, false)
  reader.switch(true)
  t.equal(pen.isOn, true)
  reader.switch(false)
  t.equal(pen.isOn, false)
})

t.test('every kind of record comes out as it went in, with its source', async (t) => {
  const { reader, writer } = traced()
  reader.switch(true)
  const vcpu = writer(vcpuRing(1))
  const dom0 = writer(backendRing(0))
  vcpu.hypercall(32, [4n, 0xffff_8000_0000_1000n, 0n], BigInt.asUintN(64, -22n), 7)
  vcpu.event('in guest', 3, '')
  dom0.event('to guest', 5, 'vbd/51712')
  dom0.store('READ name')
  dom0.forDevice('vbd/51712').request(() => 'read 1: 4096 bytes at 0')
  t.same(reader.take(), {
    dropped: 0,
    records: [
      {
        timeMs: 1,
        source: 'vcpu 1',
        kind: 'hypercall',
        nr: 32,
        args: [4n, 0xffff_8000_0000_1000n, 0n],
        result: -22n,
        first: 7,
      },
      { timeMs: 2, source: 'vcpu 1', kind: 'event', way: 'in guest', port: 3, device: '' },
      { timeMs: 3, source: 'dom0', kind: 'event', way: 'to guest', port: 5, device: 'vbd/51712' },
      { timeMs: 4, source: 'dom0', kind: 'store', device: 'xenstore', text: 'READ name' },
      { timeMs: 5, source: 'dom0', kind: 'ring', device: 'vbd/51712', text: 'read 1: 4096 bytes at 0' },
    ],
  })
})

t.test('a device makes no text while nobody looks', async (t) => {
  const { writer } = traced()
  const device = writer(backendRing(0)).forDevice('vbd/0')
  t.doesNotThrow(() =>
    device.request(() => {
      throw new Error('a text was made')
    }),
  )
})

const text = (record: TraceRecord) => (record.kind === 'store' ? record.text : '')

t.test(
  'any texts in any rhythm of writing and reading: none is changed, none lost without being counted',
  async () => {
    const step = fc.oneof(
      fc
        .string({ unit: 'grapheme', maxLength: 60 })
        .map((words) => ({ write: words.replaceAll('\0', ' '), read: false })),
      fc.constant({ write: '', read: true }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 600 }), (steps) => {
        const { reader, writer } = traced()
        reader.switch(true)
        const pen = writer(backendRing(3))
        const written: string[] = []
        const out: string[] = []
        let dropped = 0
        const read = () => {
          const batch = reader.take()
          out.push(...batch.records.map(text))
          dropped += batch.dropped
        }
        for (const each of steps) {
          if (each.read) read()
          else {
            pen.store(each.write)
            written.push(each.write)
          }
        }
        read()
        // What is there is a subsequence of what was written.
        let at = 0
        for (const each of out) {
          at = written.indexOf(each, at) + 1
          if (at === 0) return false
        }
        return out.length + dropped === written.length
      }),
      { numRuns: 100 },
    )
  },
)

t.test(
  'a ring that nobody empties counts what it cannot keep, and goes on when it was emptied',
  async (t) => {
    const { reader, writer } = traced()
    reader.switch(true)
    const pen = writer(vcpuRing(0))
    for (let n = 0; n < 5000; n++) pen.hypercall(n, [0n, 0n, 0n], 0n, 0)
    const { records, dropped } = reader.take()
    t.equal(records.length + dropped, 5000)
    t.ok(dropped > 0)
    t.same(
      records.map((record) => record.kind === 'hypercall' && record.nr),
      Array.from({ length: records.length }, (_, n) => n),
      'the first ones are kept',
    )
    pen.store('again')
    t.match(reader.take(), { dropped: 0, records: [{ text: 'again' }] })
  },
)

t.test('records of all threads come in the order of time', async (t) => {
  const { reader, writer } = traced()
  reader.switch(true)
  const pens = [vcpuRing(1), vcpuRing(0), backendRing(2), backendRing(0)].map(writer)
  for (let n = 0; n < 40; n++) pens[n % 4]!.store(String(n))
  t.same(
    reader.take().records.map(text),
    Array.from({ length: 40 }, (_, n) => String(n)),
  )
})

t.test('a guest that starts anew is still traced', async (t) => {
  const { domain, reader, writer } = traced()
  reader.switch(true)
  writer(vcpuRing(0)).store('before')
  domain.state.clear(true)
  writer(vcpuRing(0)).store('after')
  t.same(reader.take().records.map(text), ['before', 'after'])
})
