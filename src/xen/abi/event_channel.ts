/** event_channel.h: operations on event channels, 2-level and FIFO. */
import { array, constants, struct, u8, u16, u32, u64, union } from './struct.ts'

const H = 'event_channel.h'

export const EVTCHNOP = constants('EVTCHNOP', {
  bind_interdomain: 0,
  bind_virq: 1,
  bind_pirq: 2,
  close: 3,
  send: 4,
  status: 5,
  alloc_unbound: 6,
  bind_ipi: 7,
  bind_vcpu: 8,
  unmask: 9,
  reset: 10,
  init_control: 11,
  expand_array: 12,
  set_priority: 13,
})

export const EVTCHNSTAT = constants('EVTCHNSTAT', {
  closed: 0,
  unbound: 1,
  interdomain: 2,
  pirq: 3,
  virq: 4,
  ipi: 5,
})

export const evtchn_alloc_unbound = struct('evtchn_alloc_unbound', H, {
  dom: u16('who owns the port'),
  remote_dom: u16('who may bind to it'),
  port: u32('out'),
})
export const evtchn_bind_interdomain = struct('evtchn_bind_interdomain', H, {
  remote_dom: u16(),
  remote_port: u32(),
  local_port: u32('out'),
})
export const evtchn_bind_virq = struct('evtchn_bind_virq', H, {
  virq: u32('VIRQ_*'),
  vcpu: u32(),
  port: u32('out'),
})
export const evtchn_bind_ipi = struct('evtchn_bind_ipi', H, { vcpu: u32(), port: u32('out') })
export const evtchn_bind_pirq = struct('evtchn_bind_pirq', H, {
  pirq: u32(),
  flags: u32('bit 0: shareable'),
  port: u32('out'),
})
export const evtchn_close = struct('evtchn_close', H, { port: u32() })
export const evtchn_send = struct('evtchn_send', H, { port: u32() })
export const evtchn_unmask = struct('evtchn_unmask', H, { port: u32() })

const evtchn_status_unbound = struct('evtchn_status_unbound', '', { dom: u16() })
const evtchn_status_interdomain = struct('evtchn_status_interdomain', '', { dom: u16(), port: u32() })
const evtchn_status_u = union('evtchn_status_u', '', {
  unbound: evtchn_status_unbound.in('EVTCHNSTAT_unbound'),
  interdomain: evtchn_status_interdomain.in('EVTCHNSTAT_interdomain'),
  pirq: u32('EVTCHNSTAT_pirq'),
  virq: u32('EVTCHNSTAT_virq'),
})
export const evtchn_status = struct('evtchn_status', H, {
  dom: u16('DOMID_SELF or own'),
  port: u32(),
  status: u32('out: EVTCHNSTAT_*'),
  vcpu: u32('out: bound to'),
  u: evtchn_status_u.in('out'),
})
export const evtchn_bind_vcpu = struct('evtchn_bind_vcpu', H, { port: u32(), vcpu: u32() })
export const evtchn_reset = struct('evtchn_reset', H, { dom: u16() })
export const evtchn_init_control = struct('evtchn_init_control', H, {
  control_gfn: u64('page of the control block'),
  offset: u32('in that page'),
  vcpu: u32(),
  link_bits: u8('out: 17'),
  _pad: array(u8(), 7),
})
export const evtchn_expand_array = struct('evtchn_expand_array', H, { array_gfn: u64() })
export const evtchn_set_priority = struct('evtchn_set_priority', H, { port: u32(), priority: u32() })

/** Bits of a FIFO event word (EVTCHN_FIFO_*). */
export const EVTCHN_FIFO = { PENDING: 31, MASKED: 30, LINKED: 29, BUSY: 28 } as const
export const EVTCHN_FIFO_LINK_BITS = 17
export const EVTCHN_FIFO_LINK_MASK = (1 << EVTCHN_FIFO_LINK_BITS) - 1
export const EVTCHN_FIFO_NR_CHANNELS = 1 << EVTCHN_FIFO_LINK_BITS
export const EVTCHN_FIFO_MAX_QUEUES = 16
export const EVTCHN_FIFO_PRIORITY_DEFAULT = 7

export const evtchn_fifo_control_block = struct('evtchn_fifo_control_block', H, {
  ready: u32('bit = queue of this priority has events'),
  _rsvd: u32(),
  head: array(u32(), EVTCHN_FIFO_MAX_QUEUES, 'first port of each queue'),
})
