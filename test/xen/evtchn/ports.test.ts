import fc from 'fast-check'
import t from 'tap'
import { domid, port } from '../../../src/base/brand.ts'
import { CONTROL_WORD, controlWord, VCPU_REQUEST } from '../../../src/base/vcpu-control.ts'
import {
  EVTCHNOP,
  EVTCHNSTAT,
  evtchn_alloc_unbound,
  evtchn_bind_interdomain,
  evtchn_bind_ipi,
  evtchn_bind_pirq,
  evtchn_bind_vcpu,
  evtchn_bind_virq,
  evtchn_close,
  evtchn_reset,
  evtchn_send,
  evtchn_status,
} from '../../../src/xen/abi/event_channel.ts'
import { DOMID, HYPERVISOR, VIRQ } from '../../../src/xen/abi/xen.ts'
import { DOM0 } from '../../../src/xen/evtchn/ports.ts'
import { FakeVcpu, testDomain } from '../fake-vcpu.ts'

const EVTCHN = HYPERVISOR.event_channel_op

function setUp() {
  const domain = testDomain()
  const vcpu = new FakeVcpu(domain)
  domain.latchLayout(true)
  return { domain, vcpu, evtchn: domain.evtchn }
}

t.test('a port for dom0 is unbound until a backend binds, and again when that closes', async (t) => {
  const { evtchn, vcpu } = setUp()
  const alloc = vcpu.op(EVTCHN, EVTCHNOP.alloc_unbound, evtchn_alloc_unbound, {
    dom: DOMID.SELF,
    remote_dom: 0,
  })
  t.equal(alloc.result, 0)
  const guest = alloc.out.port
  const status = () => vcpu.op(EVTCHN, EVTCHNOP.status, evtchn_status, { dom: DOMID.SELF, port: guest })
  t.match(status(), { result: 0, out: { status: EVTCHNSTAT.unbound } })
  t.equal(
    vcpu.op(EVTCHN, EVTCHNOP.send, evtchn_send, { port: guest }).result,
    0,
    'sending is dropped silently',
  )
  const dom0 = evtchn.bindFromDom0(guest, 0)
  t.match(status().out, {
    status: EVTCHNSTAT.interdomain,
    vcpu: 0,
    u: { interdomain: { dom: 0, port: dom0 } },
  })
  t.equal(evtchn.bindFromDom0(guest, 0), -22, 'only one backend')
  evtchn.closeFromDom0(dom0)
  t.match(status().out, { status: EVTCHNSTAT.unbound, u: { unbound: { dom: 0 } } })
  t.equal(evtchn.bindFromDom0(guest, 0), dom0)
  t.equal(vcpu.op(EVTCHN, EVTCHNOP.close, evtchn_close, { port: guest }).result, 0)
  t.match(status().out, { status: EVTCHNSTAT.closed })
  evtchn.notifyFromDom0(dom0)
  t.notOk(evtchn.delivery.isPending(guest), 'a backend without peer reaches nobody')
})

t.test('the guest can bind to itself; the new end starts pending', async (t) => {
  const { evtchn, vcpu } = setUp()
  const { out } = vcpu.op(EVTCHN, EVTCHNOP.alloc_unbound, evtchn_alloc_unbound, {
    dom: DOMID.SELF,
    remote_dom: DOMID.SELF,
  })
  const bound = vcpu.op(EVTCHN, EVTCHNOP.bind_interdomain, evtchn_bind_interdomain, {
    remote_dom: DOMID.SELF,
    remote_port: out.port,
  })
  t.equal(bound.result, 0)
  t.ok(evtchn.delivery.isPending(bound.out.local_port))
  t.notOk(evtchn.delivery.isPending(out.port))
  evtchn.send(bound.out.local_port)
  t.ok(evtchn.delivery.isPending(out.port))
})

t.test('each VIRQ of a vCPU is bound once; global ones only on vCPU 0', async (t) => {
  const { vcpu, evtchn, domain } = setUp()
  const bind = (virq: number, on: number) =>
    vcpu.op(EVTCHN, EVTCHNOP.bind_virq, evtchn_bind_virq, { virq, vcpu: on })
  t.equal(bind(VIRQ.TIMER, 0).result, 0)
  t.equal(bind(VIRQ.TIMER, 0).result, -17)
  t.equal(bind(VIRQ.TIMER, 1).result, 0)
  t.equal(bind(VIRQ.TIMER, 2).result, -2)
  t.equal(bind(24, 0).result, -22)
  t.equal(bind(VIRQ.CON_RING, 1).result, -22)
  const global = bind(VIRQ.CON_RING, 0)
  t.equal(vcpu.op(EVTCHN, EVTCHNOP.bind_vcpu, evtchn_bind_vcpu, { port: global.out.port, vcpu: 1 }).result, 0)
  evtchn.sendVirq(VIRQ.CON_RING, 0)
  t.ok(domain.upcall.isPending(1))
  t.equal(evtchn.close(global.out.port), 0)
  t.equal(bind(VIRQ.CON_RING, 0).result, 0, 'free again although it had moved')
})

t.test('what is bound to a vCPU by nature cannot be moved', async (t) => {
  const { vcpu } = setUp()
  const timer = vcpu.op(EVTCHN, EVTCHNOP.bind_virq, evtchn_bind_virq, { virq: VIRQ.TIMER, vcpu: 0 }).out.port
  const ipi = vcpu.op(EVTCHN, EVTCHNOP.bind_ipi, evtchn_bind_ipi, { vcpu: 1 }).out.port
  for (const at of [timer, ipi, 77])
    t.equal(vcpu.op(EVTCHN, EVTCHNOP.bind_vcpu, evtchn_bind_vcpu, { port: at, vcpu: 1 }).result, -22)
  t.equal(vcpu.op(EVTCHN, EVTCHNOP.bind_vcpu, evtchn_bind_vcpu, { port: ipi, vcpu: 9 }).result, -2)
})

t.test("other domains and wrong ports get Xen's errors", async (t) => {
  const { vcpu, evtchn } = setUp()
  const alloc = (dom: number) => vcpu.op(EVTCHN, EVTCHNOP.alloc_unbound, evtchn_alloc_unbound, { dom }).result
  t.equal(alloc(0), -1)
  t.equal(alloc(77), -3)
  t.equal(alloc(6), 0, 'its own domid')
  const bind = (remote_dom: number) =>
    vcpu.op(EVTCHN, EVTCHNOP.bind_interdomain, evtchn_bind_interdomain, { remote_dom, remote_port: 1 }).result
  t.equal(bind(0), -22)
  t.equal(bind(77), -3)
  t.equal(bind(DOMID.SELF), -22, 'offered to domain 0')
  for (const bad of [0, 9, 1024, 0xffffffff]) {
    t.equal(vcpu.op(EVTCHN, EVTCHNOP.send, evtchn_send, { port: bad }).result, -22)
    t.equal(vcpu.op(EVTCHN, EVTCHNOP.close, evtchn_close, { port: bad }).result, -22)
  }
  t.equal(evtchn.bindFromDom0(9, 0), -22)
  const timer = evtchn.bindVirq(VIRQ.TIMER, 0)
  t.equal(evtchn.send(timer), -22, 'a VIRQ is not sent')
  t.equal(vcpu.op(EVTCHN, EVTCHNOP.bind_pirq, evtchn_bind_pirq, {}).result, -22)
  t.equal(vcpu.hypercall(EVTCHN, EVTCHNOP.send, 0x7000_0000), -14, 'unreadable argument')
})

t.test('ports end at the limit', async (t) => {
  const domain = testDomain({ maxPort: 20 })
  const ports = Array.from({ length: 20 }, () => domain.evtchn.bindIpi(0))
  t.strictSame(
    ports,
    Array.from({ length: 20 }, (_, n) => n + 1),
  )
  t.equal(domain.evtchn.bindIpi(0), -28)
  t.equal(domain.evtchn.bindVirq(VIRQ.TIMER, 0), -28)
  t.equal(domain.evtchn.allocUnbound(domid(0)), -28)
})

t.test('reset closes all, backends included', async (t) => {
  const { vcpu, evtchn, domain } = setUp()
  const guest = port(evtchn.allocUnbound(DOM0))
  const dom0 = evtchn.bindFromDom0(guest, 0)
  t.equal(vcpu.op(EVTCHN, EVTCHNOP.reset, evtchn_reset, { dom: DOMID.SELF }).result, 0)
  t.equal(evtchn.status(guest).status, EVTCHNSTAT.closed)
  t.equal(domain.state.getDom0Port(dom0, 'status'), EVTCHNSTAT.unbound)
})

t.test('a poller is kicked by its port even when that is masked', async (t) => {
  const { domain, evtchn } = setUp()
  const [wanted, other] = [evtchn.bindIpi(0), evtchn.bindIpi(0)]
  const request = controlWord(domain.memory, 1, CONTROL_WORD.request)
  domain.memory.view.setBigUint64(domain.state.get('sharedInfoPage') * 4096 + 0xa00, ~0n, true)
  evtchn.beginPoll(1, [wanted])
  evtchn.send(other)
  t.equal(Atomics.load(domain.memory.i32, request), 0)
  evtchn.send(wanted)
  t.equal(Atomics.load(domain.memory.i32, request), VCPU_REQUEST.kick)
  evtchn.endPoll(1)
  Atomics.store(domain.memory.i32, request, 0)
  evtchn.delivery.clearPending(wanted)
  evtchn.send(wanted)
  t.equal(Atomics.load(domain.memory.i32, request), 0)
})

t.test('2-level: a guest that follows the rules sees every event, in both layouts', async (t) => {
  const step = fc.record({ kind: fc.constantFrom('send', 'send', 'mask', 'unmask', 'handle'), n: fc.nat(39) })
  fc.assert(
    fc.property(fc.boolean(), fc.array(step, { maxLength: 60 }), (is64, steps) => {
      const domain = testDomain()
      domain.latchLayout(is64)
      const { i32, view } = domain.memory
      const page = domain.state.get('sharedInfoPage') * 4096
      const maskAt = page + (is64 ? 0xa00 : 0x880)
      const wordBits = is64 ? 64 : 32
      const info = domain.state.getVcpu(0, 'info')
      // Ports far enough apart to lie in different words.
      const ports = Array.from({ length: 40 * 20 }, () => domain.evtchn.bindIpi(0)).filter(
        (_, i) => i % 20 === 0,
      )
      const sent = new Set<number>()
      const bitOf = (base: number, n: number) => ({ at: base / 4 + (n >>> 5), bit: 1 << (n & 31) })
      const handle = () => {
        if (view.getUint8(info) === 0) return
        view.setUint8(info, 0)
        const selector = (info + (is64 ? 8 : 4)) / 4
        const words = is64 ? 2 : 1
        for (let w = 0; w < words; w++) {
          const selected = Atomics.exchange(i32, selector + w, 0)
          for (let b = 0; b < 32; b++) {
            if ((selected & (1 << b)) === 0) continue
            const first = (w * 32 + b) * wordBits
            for (const p of ports.filter((p) => p >= first && p < first + wordBits)) {
              const pending = bitOf(page + 0x800, p)
              const mask = bitOf(maskAt, p)
              if ((i32[mask.at]! & mask.bit) !== 0 || (i32[pending.at]! & pending.bit) === 0) continue
              Atomics.and(i32, pending.at, ~pending.bit)
              sent.delete(p)
            }
          }
        }
      }
      for (const { kind, n } of steps) {
        const p = ports[n]!
        const mask = bitOf(maskAt, p)
        if (kind === 'send') {
          domain.evtchn.send(p)
          sent.add(p)
        } else if (kind === 'mask') Atomics.or(i32, mask.at, mask.bit)
        else if (kind === 'unmask') domain.evtchn.unmask(p)
        else handle()
      }
      for (const p of ports) domain.evtchn.unmask(p)
      handle()
      return sent.size === 0
    }),
    { numRuns: 60 },
  )
  t.pass()
})
