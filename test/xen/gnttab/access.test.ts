import fc from 'fast-check'
import t, { type Test } from 'tap'
import { domid, type Gref, gref } from '../../../src/base/brand.ts'
import { CONTROL_WORD, controlWord, takeCodeMailbox, VCPU_REQUEST } from '../../../src/base/vcpu-control.ts'
import { GNTST, GTF, grant_entry_v1 } from '../../../src/xen/abi/grant_table.ts'
import type { Domain } from '../../../src/xen/domain.ts'
import { EvtchnError, GrantError } from '../../../src/xen/errors.ts'
import { LocalXen } from '../../../src/xen/local.ts'
import type { XenstoreClient } from '../../../src/xen/xenhost.ts'
import { testDomain } from '../fake-vcpu.ts'

const GUEST = domid(6)
const FRAME = 0x200

function grant(domain: Domain, ref: number, flags: number, to = 0, frame = FRAME) {
  const at = domain.gnttab.entry(gref(ref))
  grant_entry_v1.x64.write(domain.memory.view, at, { flags, domid: to, frame })
  return grant_entry_v1.on(domain.memory.view, at)
}

function setUp(t: Test) {
  const domain = testDomain()
  const xen = new LocalXen({ memory: domain.memory, defer: (task) => void setImmediate(task) })
  t.teardown(() => xen[Symbol.dispose]())
  const host = xen.xenhost('/local/domain/0/backend/vbd/6/0', {} as XenstoreClient)
  return {
    domain,
    xen,
    host,
    map: (refs: readonly number[], access: 'ro' | 'rw') => host.gnttab.map(GUEST, refs.map(gref), access),
  }
}

t.test('a mapped grant is the guest page itself, marked in use until it is given back', async (t) => {
  const { domain, map, host } = setUp(t)
  const entry = grant(domain, 9, GTF.permit_access)
  const mapping = map([9], 'rw')
  mapping.pages[0]![5] = 77
  t.equal(domain.memory.read(FRAME * 4096 + 5, 1)![0], 77)
  t.equal(entry.flags, GTF.permit_access | GTF.reading | GTF.writing)
  t.equal(host.held().grants, 1)
  const second = map([9], 'ro')
  mapping[Symbol.dispose]()
  mapping[Symbol.dispose]()
  t.equal(entry.flags, GTF.permit_access | GTF.reading, 'a reader is left')
  second[Symbol.dispose]()
  t.equal(entry.flags, GTF.permit_access)
  t.equal(host.held().grants, 0)
})

t.test('a page that is pinned stays the one that was granted', async (t) => {
  const { domain, map } = setUp(t)
  const entry = grant(domain, 9, GTF.permit_access)
  using first = map([9], 'ro')
  entry.frame = 0x201
  using second = map([9], 'ro')
  t.equal(second.pages[0]!.byteOffset, first.pages[0]!.byteOffset)
})

t.test('what the guest did not grant is refused, and nothing stays mapped', async (t) => {
  const { domain, map, host } = setUp(t)
  const good = grant(domain, 8, GTF.permit_access)
  grant(domain, 9, GTF.permit_access | GTF.readonly)
  grant(domain, 10, GTF.permit_access, 3)
  grant(domain, 11, GTF.invalid)
  grant(domain, 12, GTF.permit_access | GTF.sub_page)
  grant(domain, 13, GTF.permit_access, 0, 0x3f_0000)
  const status = (ref: number, access: 'ro' | 'rw' = 'rw') => {
    try {
      map([8, ref], access)[Symbol.dispose]()
      return GNTST.okay
    } catch (error) {
      return (error as GrantError).status
    }
  }
  t.equal(status(9), GNTST.general_error, 'read-only')
  t.equal(status(9, 'ro'), GNTST.okay)
  t.equal(status(10), GNTST.general_error, 'for another domain')
  t.equal(status(11), GNTST.general_error)
  t.equal(status(12), GNTST.general_error)
  t.equal(status(13), GNTST.bad_page)
  t.equal(status(512), GNTST.bad_gntref)
  t.equal(status(-1), GNTST.bad_gntref)
  t.equal(status(1.5), GNTST.bad_gntref)
  t.equal(good.flags, GTF.permit_access)
  t.equal(host.held().grants, 0)
  t.throws(() => map([11], 'ro'), GrantError)
})

t.test('copies go between a granted page and own bytes, inside the page only', async (t) => {
  const { domain, host } = setUp(t)
  const entry = grant(domain, 9, GTF.permit_access)
  domain.memory.write(FRAME * 4096, Uint8Array.of(1, 2, 3, 4))
  const local = new Uint8Array(8)
  const op = {
    otherend: GUEST,
    ref: gref(9),
    offset: 1,
    length: 3,
    direction: 'from-guest' as const,
    local,
    localOffset: 2,
  }
  const back = { ...op, direction: 'to-guest' as const, offset: 100, localOffset: 2 }
  const far = { ...op, offset: 4095, length: 2 }
  t.strictSame(host.gnttab.copy([op, back, far]), [0, 0, GNTST.bad_copy_arg])
  t.strictSame([...local], [0, 0, 2, 3, 4, 0, 0, 0])
  t.strictSame([...domain.memory.read(FRAME * 4096 + 100, 3)!], [2, 3, 4])
  t.equal(entry.flags, GTF.permit_access)
})

t.test('vCPUs that hold code of a page hear of a write by a copy or through a mapping', async (t) => {
  const { domain, map, host } = setUp(t)
  const { memory } = domain
  grant(domain, 9, GTF.permit_access)
  const page = memory.frame(FRAME)
  memory.u8[memory.layout.pageFlags + page] = 1 << 1
  const word = (n: number) => controlWord(memory, 1, n)
  /** Whether vCPU 1 was asked to look, and at what; undefined: at everything. */
  const heard = () => {
    const request = Atomics.exchange(memory.i32, word(CONTROL_WORD.request), 0) & VCPU_REQUEST.flushCode
    return [request !== 0, takeCodeMailbox(memory, 1)]
  }
  map([9], 'ro')[Symbol.dispose]()
  t.strictSame(heard(), [false, []], 'nothing was written')
  const copy = {
    otherend: GUEST,
    ref: gref(9),
    offset: 35,
    length: 3,
    local: new Uint8Array(3),
    localOffset: 0,
  }
  host.gnttab.copy([{ ...copy, direction: 'from-guest' }])
  t.strictSame(heard(), [false, []])
  host.gnttab.copy([{ ...copy, direction: 'to-guest' }])
  t.strictSame(heard(), [true, [page * 4096 + 32]], 'these sixteen bytes')
  const mapping = map([9], 'rw')
  t.strictSame(heard(), [false, []])
  mapping[Symbol.dispose]()
  t.strictSame(heard(), [true, undefined], 'the page may have changed as a whole')
})

t.test('a handle reaches its own guest only', async (t) => {
  const { host } = setUp(t)
  const outside = { code: 'XT_XENHOST_SCOPE' }
  t.throws(() => host.gnttab.map(domid(7), [gref(0)], 'ro'), outside)
  t.throws(() => host.evtchn.bindInterdomain(domid(7), 1 as never, () => {}), outside)
  t.throws(() => host.evtchn.bindInterdomain(GUEST, 500 as never, () => {}), EvtchnError)
  await t.rejects(host.xenstore.write('/local/domain/0/backend/vbd/6/01/state', '4'), outside)
  t.equal(host.hypercall(17, 0n), 0x40011n)
  t.equal(host.hypercall(32, 4n), -38n)
})

t.test('what a backend keeps is named', async (t) => {
  const { domain, xen, map } = setUp(t)
  grant(domain, 9, GTF.permit_access)
  t.strictSame(xen.leftovers(), [])
  const mapping = map([9, 9], 'ro')
  t.match(xen.leftovers(), [/vbd\/6\/0 did not give back 2 grants/])
  mapping[Symbol.dispose]()
  t.strictSame(xen.leftovers(), [])
})

t.test('after any order of maps and releases every entry is as the guest left it', async (t) => {
  const { domain, map } = setUp(t)
  const entries = [20, 21, 22].map((ref) => grant(domain, ref, GTF.permit_access))
  const step = fc.record({ ref: fc.integer({ min: 20, max: 22 }), rw: fc.boolean(), drop: fc.nat(5) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const held: { ref: Gref; rw: boolean; [Symbol.dispose](): void }[] = []
      for (const { ref, rw, drop } of steps) {
        const mapping = map([ref], rw ? 'rw' : 'ro')
        held.push({ ref: gref(ref), rw, [Symbol.dispose]: () => mapping[Symbol.dispose]() })
        if (drop < held.length) held.splice(drop, 1)[0]![Symbol.dispose]()
        for (const [n, entry] of entries.entries()) {
          const users = held.filter((h) => h.ref === 20 + n)
          const wanted =
            GTF.permit_access |
            (users.length > 0 ? GTF.reading : 0) |
            (users.some((h) => h.rw) ? GTF.writing : 0)
          if (entry.flags !== wanted) return false
        }
      }
      for (const h of held) h[Symbol.dispose]()
      return entries.every((entry) => entry.flags === GTF.permit_access)
    }),
  )
  t.pass()
})
