/**
 * Public part of src/xen (package export `xt/xen`): what a backend or a test of one uses. Everything below is pure:
 * no node: imports, no timers, no clock.
 */

export { type Domid, domid, type Gfn, type Gref, gfn, gref, type Port, port } from '../base/brand.ts'
export { EVTCHNOP, EVTCHNSTAT } from './abi/event_channel.ts'
export { GNTST, GTF } from './abi/grant_table.ts'
export { HVM_PARAM } from './abi/hvm/params.ts'
export { SHUTDOWN } from './abi/sched.ts'
export {
  type Abi,
  array,
  bytes,
  constants,
  dump,
  type Field,
  type Fields,
  handle,
  i8,
  i16,
  i32,
  type Layout,
  type Struct,
  struct,
  u8,
  u16,
  u32,
  u64,
  ulong,
  union,
  type Values,
  type View,
} from './abi/struct.ts'
export { DOMID, HYPERVISOR, VIRQ } from './abi/xen.ts'
export { Domain, type DomainSetup, type E820Entry, type SpecialPage } from './domain.ts'
export { EvtchnError, GrantError } from './errors.ts'
export { type Held, LocalXen, type LocalXenHost, type LocalXenOptions } from './local.ts'
export {
  BROKEN,
  BytePipe,
  type ByteRingLayout,
  CONSOLE_RING,
  type RingEnd,
  XENSTORE_RING,
} from './ring/byte-ring.ts'
export { FlexRing, type FlexRingRefs, readFlexRefs, writeFlexRefs } from './ring/flex-ring.ts'
export { BackRing, FrontRing, type RingShape, ringSize } from './ring/ring.ts'
export {
  BackendBus,
  type BusBackend,
  type BusDeviceHandle,
  type BusDeviceSetup,
} from './xenbus/backend-bus.ts'
export { parseXenbusState, XENBUS_STATE, type XenbusState, xenbusStateText } from './xenbus/state.ts'
export type {
  Channel,
  EvtchnClient,
  GnttabClient,
  GrantCopy,
  Mapping,
  XenHost,
  XenstoreClient,
  XenstoreTx,
  XenstoreWatch,
} from './xenhost.ts'
