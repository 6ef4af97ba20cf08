import fc from 'fast-check'
import t from 'tap'
import {
  EVTCHN_FIFO,
  EVTCHNOP,
  evtchn_expand_array,
  evtchn_init_control,
  evtchn_send,
  evtchn_set_priority,
  evtchn_unmask,
} from '../../../src/xen/abi/event_channel.ts'
import { HYPERVISOR } from '../../../src/xen/abi/xen.ts'
import { FakeVcpu, testDomain } from '../fake-vcpu.ts'
import { FifoGuest } from './fifo-guest.ts'

const ARRAY_GFN = 0x200
const CONTROL_GFN = 0x201
const EVTCHN = HYPERVISOR.event_channel_op

function fifoDomain(ipis: number) {
  const domain = testDomain()
  const vcpu = new FakeVcpu(domain)
  const ports = Array.from({ length: ipis }, () => domain.evtchn.bindIpi(0))
  const control = vcpu.op(EVTCHN, EVTCHNOP.init_control, evtchn_init_control, {
    control_gfn: BigInt(CONTROL_GFN),
  })
  const expand = vcpu.op(EVTCHN, EVTCHNOP.expand_array, evtchn_expand_array, { array_gfn: BigInt(ARRAY_GFN) })
  return { domain, vcpu, ports, control, expand, guest: new FifoGuest(domain, ARRAY_GFN, CONTROL_GFN) }
}

t.test('init_control answers 17 link bits and switches the domain over', async (t) => {
  const { control, expand, domain } = fifoDomain(1)
  t.equal(control.result, 0)
  t.equal(control.out.link_bits, 17)
  t.equal(expand.result, 0)
  t.equal(domain.evtchn.delivery.capacity(), 131072)
})

t.test('events come out in order, urgent ones first', async (t) => {
  const { domain, vcpu, ports, guest } = fifoDomain(4)
  const [a, b, c, d] = ports as [number, number, number, number]
  t.equal(vcpu.op(EVTCHN, EVTCHNOP.set_priority, evtchn_set_priority, { port: d, priority: 0 }).result, 0)
  for (const port of [a, b, c, d]) t.equal(vcpu.op(EVTCHN, EVTCHNOP.send, evtchn_send, { port }).result, 0)
  t.ok(domain.upcall.isPending(0))
  t.strictSame(guest.handle(), [d, a, b, c])
  t.strictSame(guest.handle(), [])
})

t.test('an event that was pending with 2-level is delivered after the switch', async (t) => {
  const domain = testDomain()
  const vcpu = new FakeVcpu(domain)
  const port = domain.evtchn.bindIpi(0)
  domain.evtchn.send(port)
  vcpu.op(EVTCHN, EVTCHNOP.init_control, evtchn_init_control, { control_gfn: BigInt(CONTROL_GFN) })
  const late = domain.evtchn.bindIpi(0)
  domain.evtchn.send(late)
  vcpu.op(EVTCHN, EVTCHNOP.expand_array, evtchn_expand_array, { array_gfn: BigInt(ARRAY_GFN) })
  t.strictSame(new FifoGuest(domain, ARRAY_GFN, CONTROL_GFN).handle(), [port, late])
})

t.test('a masked event waits for unmask', async (t) => {
  const { vcpu, ports, guest } = fifoDomain(1)
  const port = ports[0]!
  guest.mask(port)
  vcpu.op(EVTCHN, EVTCHNOP.send, evtchn_send, { port })
  t.strictSame(guest.handle(), [])
  t.equal(vcpu.op(EVTCHN, EVTCHNOP.unmask, evtchn_unmask, { port }).result, 0)
  t.strictSame(guest.handle(), [port])
})

t.test("control blocks and pages that cannot be get Xen's errors", async (t) => {
  const domain = testDomain()
  const vcpu = new FakeVcpu(domain)
  const init = (values: { control_gfn?: bigint; offset?: number; vcpu?: number }) =>
    vcpu.op(EVTCHN, EVTCHNOP.init_control, evtchn_init_control, {
      control_gfn: BigInt(CONTROL_GFN),
      ...values,
    }).result
  t.equal(
    vcpu.op(EVTCHN, EVTCHNOP.expand_array, evtchn_expand_array, { array_gfn: 1n }).result,
    -95,
    'not FIFO yet',
  )
  t.equal(vcpu.op(EVTCHN, EVTCHNOP.set_priority, evtchn_set_priority, { port: 1 }).result, -38)
  t.equal(init({ vcpu: 2 }), -2, 'no such vCPU')
  t.equal(init({ offset: 4096 - 64 }), -22, 'crosses the page')
  t.equal(init({ offset: 4 }), -22, 'unaligned')
  t.equal(init({ control_gfn: 0xfff_ffff_ffffn }), -22, 'no such page')
  t.equal(init({}), 0)
  t.equal(init({}), -22, 'twice')
  t.equal(vcpu.op(EVTCHN, EVTCHNOP.set_priority, evtchn_set_priority, { port: 1, priority: 16 }).result, -22)
  for (let n = 0; n < 128; n++)
    t.equal(vcpu.op(EVTCHN, EVTCHNOP.expand_array, evtchn_expand_array, { array_gfn: 0x300n }).result, 0)
  t.equal(
    vcpu.op(EVTCHN, EVTCHNOP.expand_array, evtchn_expand_array, { array_gfn: 0x300n }).result,
    -28,
    'full',
  )
})

t.test('a port is not used again while the guest has it in a queue', async (t) => {
  const { domain, ports, guest } = fifoDomain(1)
  const port = ports[0]!
  domain.evtchn.send(port)
  t.equal(domain.evtchn.close(port), 0)
  t.not(domain.evtchn.bindIpi(0), port)
  t.strictSame(guest.handle(), [], 'closed: nothing is delivered')
  t.equal(domain.evtchn.bindIpi(0), port)
})

t.test('reset goes back to 2-level', async (t) => {
  const { domain } = fifoDomain(2)
  domain.evtchn.reset()
  t.equal(domain.evtchn.delivery.capacity(), 1024)
  t.equal(domain.evtchn.bindIpi(0), 1)
})

t.test('a guest that scribbles over words and queues harms only itself', async (t) => {
  const { domain, ports } = fifoDomain(8)
  const words = domain.memory.hostOffset(ARRAY_GFN * 4096) / 4
  const control = domain.memory.hostOffset(CONTROL_GFN * 4096) / 4
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(7), fc.integer(), fc.nat(17)), { maxLength: 40 }), (steps) => {
      for (const [n, junk, at] of steps) {
        domain.memory.i32[words + ports[n]!] = junk
        domain.memory.i32[control + at] = junk
        domain.evtchn.send(ports[n]!)
        domain.evtchn.unmask(ports[n]!)
      }
    }),
  )
  t.ok(EVTCHN_FIFO.PENDING)
})

t.test(
  'whatever is sent, masked, unmasked and moved: what is pending and unmasked is delivered',
  async (t) => {
    type Step = {
      readonly kind: 'send' | 'mask' | 'unmask' | 'handle' | 'priority'
      readonly n: number
      readonly priority: number
    }
    const step: fc.Arbitrary<Step> = fc.record({
      kind: fc.constantFrom('send', 'send', 'send', 'mask', 'unmask', 'handle', 'priority'),
      n: fc.nat(5),
      priority: fc.nat(15),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const { domain, ports, guest } = fifoDomain(6)
        const sent = new Set<number>()
        const take = () => {
          for (const port of guest.handle()) {
            if (!sent.delete(port)) throw new Error(`port ${port} came without having been sent`)
          }
        }
        for (const { kind, n, priority } of steps) {
          const port = ports[n]!
          if (kind === 'send') {
            domain.evtchn.send(port)
            sent.add(port)
          } else if (kind === 'mask') guest.mask(port)
          else if (kind === 'unmask') domain.evtchn.unmask(port)
          else if (kind === 'priority') domain.evtchn.setPriority(port, priority)
          else take()
        }
        take()
        const lost = [...sent].filter((port) => !guest.isMasked(port))
        for (const port of ports) domain.evtchn.unmask(port)
        take()
        return lost.length === 0 && sent.size === 0
      }),
      { numRuns: 60 },
    )
    t.pass()
  },
)
