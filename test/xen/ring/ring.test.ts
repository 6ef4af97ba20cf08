import fc from 'fast-check'
import t from 'tap'
import { BROKEN } from '../../../src/xen/ring/byte-ring.ts'
import { FlexRing, readFlexRefs, writeFlexRefs } from '../../../src/xen/ring/flex-ring.ts'
import { BackRing, FrontRing, ringSize } from '../../../src/xen/ring/ring.ts'

/** Pages of one buffer, in reverse order, so that nothing relies on their being neighbours. */
function pages(count: number): Uint8Array<SharedArrayBuffer>[] {
  const buffer = new SharedArrayBuffer(count * 4096)
  return Array.from({ length: count }, (_, n) => new Uint8Array(buffer, (count - 1 - n) * 4096, 4096))
}

t.test('rings have the sizes of ring.h', async (t) => {
  t.equal(ringSize(1, 112), 32, 'blkif')
  t.equal(ringSize(1, 12), 256, 'netif tx')
  t.equal(ringSize(1, 8), 256, 'netif rx')
  t.equal(ringSize(16, 112), 512)
})

t.test('requests and responses pass in order, also where the indices wrap and pages end', async (t) => {
  const step = fc.constantFrom('put', 'push', 'take', 'answer', 'show', 'collect')
  fc.assert(
    fc.property(
      fc.constantFrom(1, 2),
      fc.constantFrom(0, -3, 0x7ffffffd),
      fc.array(step, { maxLength: 200 }),
      (pageCount, startAt, steps) => {
        const shape = { entryBytes: 112 }
        const shared = pages(pageCount)
        const front = new FrontRing(shared, shape, startAt)
        const back = new BackRing(shared, shape, startAt)
        let made = 0
        let served = 0
        let collected = 0
        const taken: number[] = []
        const entry = (n: number) => {
          const bytes = new Uint8Array(112)
          new DataView(bytes.buffer).setUint32(108, n, true)
          return bytes
        }
        const steps2 = [
          ...steps,
          'push',
          ...Array(80).fill('take'),
          ...Array(80).fill('answer'),
          'show',
          'collect',
        ]
        for (const what of steps2) {
          if (what === 'put' && front.putRequest(entry(made))) made++
          else if (what === 'push') front.pushRequests()
          else if (what === 'take') {
            const request = back.takeRequest()
            if (request !== undefined) taken.push(request.getUint32(108, true))
          } else if (what === 'answer' && taken.length > 0) {
            const n = taken.shift()!
            if (n !== served++) return false
            back.putResponse(entry(n + 1_000_000))
          } else if (what === 'show') back.pushResponses()
          else if (what === 'collect')
            for (let r = front.takeResponse(); r !== undefined; r = front.takeResponse())
              if (r.getUint32(108, true) !== 1_000_000 + collected++) return false
        }
        return made === collected && front.free() === front.size
      },
    ),
  )
  t.pass()
})

t.test('who sleeps after a final check is told of the next entry', async (t) => {
  const shared = pages(1)
  const front = new FrontRing(shared, { entryBytes: 16 })
  const back = new BackRing(shared, { entryBytes: 16 })
  t.equal(back.finalCheck(), false)
  front.putRequest(new Uint8Array(16))
  t.equal(front.pushRequests(), true, 'the backend sleeps')
  front.putRequest(new Uint8Array(16))
  t.equal(front.pushRequests(), false, 'it is awake')
  t.equal(back.finalCheck(), true)
  back.takeRequest()
  back.takeRequest()
  t.equal(back.finalCheck(), false)
  back.putResponse(new Uint8Array(16))
  t.equal(back.pushResponses(), true, 'a fresh ring asks for the first response')
  back.putResponse(new Uint8Array(16))
  t.equal(back.pushResponses(), false)
  t.ok(front.takeResponse())
  t.equal(front.finalCheck(), true)
  t.ok(front.takeResponse())
  t.equal(front.finalCheck(), false)
  front.putRequest(new Uint8Array(16))
  t.equal(front.pushRequests(), true)
})

t.test('a frontend that claims more than the ring holds is seen and gets nothing served', async (t) => {
  const shared = pages(1)
  const back = new BackRing(shared, { entryBytes: 112 })
  const prod = new Int32Array(shared[0]!.buffer, shared[0]!.byteOffset, 1)
  prod[0] = 32
  t.equal(back.isBroken(), false)
  t.equal(back.unconsumed(), 32)
  for (const lie of [33, -1, 0x7fffffff]) {
    prod[0] = lie
    t.equal(back.isBroken(), true)
    t.equal(back.takeRequest(), undefined)
  }
})

t.test('unanswered requests are never taken twice, whatever the producer says', async (t) => {
  const shared = pages(1)
  const back = new BackRing(shared, { entryBytes: 112 })
  const prod = new Int32Array(shared[0]!.buffer, shared[0]!.byteOffset, 1)
  prod[0] = 32
  for (let n = 0; n < 32; n++) t.ok(back.takeRequest())
  prod[0] = 33
  t.equal(back.takeRequest(), undefined)
})

t.test('a flexible ring carries bytes both ways in any portions', async (t) => {
  const step = fc.record({ toBackend: fc.boolean(), write: fc.boolean(), length: fc.nat(3000) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const [index, ...data] = pages(3)
      const ends = { backend: new FlexRing(index!, data), frontend: new FlexRing(index!, data, 'frontend') }
      const sent = { true: 0, false: 0 }
      const got = { true: 0, false: 0 }
      for (const { toBackend, write, length } of steps) {
        const key = String(toBackend) as 'true' | 'false'
        if (write) {
          const bytes = Uint8Array.from({ length }, (_, n) => (sent[key] + n) & 0xff)
          sent[key] += (toBackend ? ends.frontend : ends.backend).write(bytes)
        } else {
          const bytes = new Uint8Array(length)
          const count = (toBackend ? ends.backend : ends.frontend).read(bytes)
          for (let n = 0; n < count; n++) if (bytes[n] !== ((got[key] + n) & 0xff)) return false
          got[key] += count
        }
        if (sent[key] - got[key] > 4096) return false
      }
      return (
        ends.backend.readable() === sent.true - got.true &&
        ends.frontend.readable() === sent.false - got.false
      )
    }),
  )
  t.pass()
})

t.test('a flexible ring: broken indices move nothing, orders beyond the limit are refused', async (t) => {
  const [index, ...data] = pages(3)
  const back = new FlexRing(index!, data)
  const words = new Int32Array(index!.buffer, index!.byteOffset, 64)
  words[17] = 4097
  t.equal(back.readable(), BROKEN)
  t.equal(back.read(new Uint8Array(10)), BROKEN)
  words[0] = 1
  t.equal(back.write(new Uint8Array(10)), BROKEN)
  writeFlexRefs(index!, { order: 1, refs: [8, 9] })
  t.strictSame(readFlexRefs(index!), { order: 1, refs: [8, 9] })
  t.equal(words[32], 1, 'at byte 128')
  t.equal(readFlexRefs(index!, 0), undefined)
  words[32] = -1
  t.equal(readFlexRefs(index!), undefined)
  back.inError = -32
  t.equal(words[2], -32)
})
