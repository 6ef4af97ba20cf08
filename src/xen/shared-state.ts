/**
 * Layout of the hypervisor's own state of one domain, in the `xen` area of machine memory.
 *
 * Hypercalls run in every vCPU's thread and backends in others, so nothing here is an object of one thread: these
 * are plain words that all threads read and write with Atomics. The structures say where each word lies; offsets
 * below are indices of 32-bit words. Everything that must survive a snapshot is in here.
 */
import { MAX_VCPUS, type MachineMemory, PAGE_SIZE } from '../base/machine-memory.ts'
import { EVTCHN_FIFO_MAX_QUEUES, EVTCHN_FIFO_NR_CHANNELS } from './abi/event_channel.ts'
import { vcpu_hvm_context } from './abi/hvm/hvm_vcpu.ts'
import { HVM_NR_PARAMS } from './abi/hvm/params.ts'
import { array, bytes, type Fields, f64, type Struct, struct, u32, u64 } from './abi/struct.ts'
import { NR_VIRQS, vcpu_info } from './abi/xen.ts'

/** Grant table frames a domain may have at most (xl's default of max_grant_frames). */
export const MAX_GRANT_FRAMES = 64
/** Pages of FIFO event words: 1024 ports each. */
export const FIFO_ARRAY_PAGES = EVTCHN_FIFO_NR_CHANNELS / 1024
/** Ports of the backends' side (dom0 on a local host). */
export const DOM0_PORTS = 4096
/** Threads that backends may run on; 0 is the main thread. */
export const DOORBELLS = 16
export const MAX_MEMORY_MAP = 128
export const WATCHDOGS = 2
/** Of each thread's ring of trace records (trace.ts). */
export const TRACE_RING_BYTES = 16384

const word = u32
/** The domain as a whole. */
export const domain_state = struct('domain_state', '', {
  magic: word('set last: the area is laid out'),
  domid: word(),
  vcpus: word(),
  tscKhz: word(),
  uuid: bytes(16),
  perVcpuUpcall: word('1: CPUID says that HVMOP_set_evtchn_upcall_vector works'),
  evtchnLock: word('bind, close, reset and bind_vcpu of either side'),
  gnttabLock: word('growing the table, pins'),
  memoryLock: word('physmap changes'),
  timeLock: word('wall clock rewrites'),
  maxPort: word('highest port the guest may have'),
  layout32: word('1: shared_info and vcpu_info have the 32-bit layout'),
  sharedInfoPage: word('host page'),
  sharedInfoGfn: word('where the guest sees it, plus 1; 0 = nowhere'),
  callbackType: word('CALLBACK_TYPE_* plus 1; 0 = none set'),
  callbackVector: word(),
  vmAssist: word('bit = VMASST_TYPE_*'),
  shutdownCode: word('SCHEDOP_shutdown_code plus 1; 0 = none'),
  shutdownDone: word('1: the guest has ended'),
  consoleBudget: word('bytes of console_io and port 0xe9 that were logged'),
  pollMask: array(word(), MAX_VCPUS / 32, 'vCPUs in SCHEDOP_poll'),
  unimplemented: array(word(), 128, 'bit = (call, sub-op) already named in the log'),
  fifo: word('1: FIFO event channels'),
  fifoLock: word('queues: tails, links'),
  fifoPages: word('array pages there are'),
  fifoPage: array(word(), FIFO_ARRAY_PAGES, 'host page of each'),
  gnttabFrames: word('frames the table has'),
  gnttabMaxFrames: word('frames it may have'),
  gnttabPage: array(word(), MAX_GRANT_FRAMES, 'host page of each'),
  gnttabGfn: array(word(), MAX_GRANT_FRAMES, 'where the guest sees it, plus 1; 0 = nowhere'),
  freePages: word('RAM pages the guest gave back'),
  memoryMapEntries: word(),
  memoryMap: bytes(MAX_MEMORY_MAP * 20, 'packed e820entry'),
  clockOffsetS: word('signed: how far the clock is ahead of UTC'),
  wallclockNs: u64('the clock in ns at system time 0'),
  watchdog: array(f64(), WATCHDOGS, 'system time in ns of expiry; Infinity: not armed'),
  watchdogUsed: array(word(), WATCHDOGS),
  param: array(u64(), HVM_NR_PARAMS),
  doorbell: array(word(), DOORBELLS, 'counts events for one thread of backends'),
})

/** One vCPU. */
export const vcpu_state = struct('vcpu_state', '', {
  info: word('byte offset in machine memory of its vcpu_info'),
  infoRegistered: word(),
  upcallVector: word('0: none'),
  upcallEdge: word('1: raise the vector when this vCPU looks next'),
  pollPort: word('0: not polling, all ones: several ports'),
  initialised: word('VCPUOP_initialise has given a context'),
  timeArea: word('byte offset of the secondary vcpu_time_info, 0 = none'),
  runstateArea: array(word(), 2, 'byte offset of each part, 0 = none'),
  runstateSplit: word('bytes in the first part'),
  runstateAbi: word('32 or 64'),
  runstateSeq: word('odd while the next three change'),
  runstate: word('RUNSTATE_*'),
  runstateSince: f64('system time in ns'),
  runstateTime: array(f64(), 4, 'ns in each state up to runstateSince'),
  singleshot: f64('system time in ns, Infinity = off'),
  periodicNext: f64('system time in ns, Infinity = off'),
  periodicNs: f64(),
  virqPort: array(word(), NR_VIRQS, 'port, 0 = not bound'),
  fifoControl: word('byte offset of the control block, 0 = none'),
  fifoTail: array(word(), EVTCHN_FIFO_MAX_QUEUES),
  dummyInfo: bytes(vcpu_info.size, 'vcpu_info of a vCPU above 31 that has registered none'),
  context: bytes(vcpu_hvm_context.size, 'from VCPUOP_initialise'),
})

/** One event-channel port, of the guest or of dom0. */
export const port_state = struct('port_state', '', {
  status: word('EVTCHNSTAT_*'),
  vcpu: word('guest: vCPU that is told; dom0: doorbell of its thread'),
  remoteDomid: word('unbound, interdomain; for virq: VIRQ_*'),
  remotePort: word('interdomain'),
  priority: word('FIFO queue wanted'),
  lastVcpu: word('FIFO: where it was linked last'),
  lastPriority: word(),
  early: word('FIFO: an event came before there was an event word'),
})

const align = (n: number, to: number) => Math.ceil(n / to) * to
const VCPU_STRIDE = align(vcpu_state.size, 64)
const PORT_WORDS = port_state.size / 4

/** Byte offsets inside the area. */
const AREA = (() => {
  let at = 0
  const take = (size: number) => {
    const here = at
    at = align(at + size, 4096)
    return here
  }
  return {
    domain: take(domain_state.size),
    vcpus: take(MAX_VCPUS * VCPU_STRIDE),
    dom0Pending: take(DOM0_PORTS / 8),
    dom0Ports: take(DOM0_PORTS * port_state.size),
    /** One u32 per grant: low half readers, high half writers. */
    pins: take(MAX_GRANT_FRAMES * 512 * 4),
    /** One u32 per grant: host page of a pinned one. */
    pinnedPages: take(MAX_GRANT_FRAMES * 512 * 4),
    /** One bit per RAM page: given back by the guest. */
    freeBits: take(((4096 * 1024 * 1024) / PAGE_SIZE / 8) | 0),
    ports: take(EVTCHN_FIFO_NR_CHANNELS * port_state.size),
    /** First word: whether somebody looks; then a ring for each vCPU and each thread of backends. */
    trace: take(TRACE_RING_BYTES * (1 + MAX_VCPUS + DOORBELLS)),
    end: at,
  }
})()

type WordNames<S> = S extends Struct<infer F extends Fields> ? keyof F & string : never
const words = <F extends Fields>(s: Struct<F>): Readonly<Record<WordNames<Struct<F>>, number>> =>
  Object.fromEntries(Object.keys(s.fields).map((name) => [name, s.offsetof(name) / 4])) as Record<
    string,
    number
  > as Record<WordNames<Struct<F>>, number>
const DOMAIN = words(domain_state)
const VCPU = words(vcpu_state)
const PORT = words(port_state)
export type DomainWord = keyof typeof DOMAIN
export type VcpuWord = keyof typeof VCPU
export type PortWord = keyof typeof PORT

/** Value of `magic`: "xtXn" and the layout's version. */
export const STATE_MAGIC = 0x6e587401

/** Where the words are, in one thread's view of the memory. */
export class SharedState {
  readonly memory: MachineMemory
  readonly i32: Int32Array<SharedArrayBuffer>
  readonly f64: Float64Array<SharedArrayBuffer>
  readonly u64: BigUint64Array<SharedArrayBuffer>
  readonly #domain: number
  readonly #vcpus: number
  readonly #ports: number
  readonly #dom0Ports: number
  readonly dom0Pending: number
  readonly pins: number
  readonly pinnedPages: number
  readonly freeBits: number
  /** Index into `i32` of the word that switches tracing. */
  readonly traceFlag: number

  constructor(memory: MachineMemory) {
    this.memory = memory
    this.i32 = memory.i32
    this.f64 = new Float64Array(memory.buffer)
    this.u64 = new BigUint64Array(memory.buffer)
    const { xen, xenBytes } = memory.layout
    if (AREA.end > xenBytes) throw new RangeError(`the xen area needs ${AREA.end} bytes and has ${xenBytes}`)
    this.#domain = (xen + AREA.domain) / 4
    this.#vcpus = (xen + AREA.vcpus) / 4
    this.#ports = (xen + AREA.ports) / 4
    this.#dom0Ports = (xen + AREA.dom0Ports) / 4
    this.dom0Pending = (xen + AREA.dom0Pending) / 4
    this.pins = (xen + AREA.pins) / 4
    this.pinnedPages = (xen + AREA.pinnedPages) / 4
    this.freeBits = (xen + AREA.freeBits) / 4
    this.traceFlag = (xen + AREA.trace) / 4
  }

  /** Zeroes all that is the guest's, and dom0's ports too unless they are kept. Nobody else may look meanwhile. */
  clear(keepDom0: boolean): void {
    const { xen } = this.memory.layout
    const { u8 } = this.memory
    u8.fill(0, xen, xen + AREA.dom0Pending)
    if (!keepDom0) u8.fill(0, xen + AREA.dom0Pending, xen + AREA.pins)
    // What is being traced goes on.
    u8.fill(0, xen + AREA.pins, xen + AREA.trace)
  }

  /** Index into `i32` of a word of the domain; `element` for arrays of 32-bit words. */
  domain(name: DomainWord, element = 0): number {
    return this.#domain + DOMAIN[name] + element
  }
  vcpu(vcpu: number, name: VcpuWord, element = 0): number {
    return this.#vcpus + vcpu * (VCPU_STRIDE / 4) + VCPU[name] + element
  }
  port(port: number, name: PortWord): number {
    return this.#ports + port * PORT_WORDS + PORT[name]
  }
  /** Index into `i32` of a ring of trace records. */
  traceRing(ring: number): number {
    return this.traceFlag + ((ring + 1) * TRACE_RING_BYTES) / 4
  }
  dom0Port(port: number, name: PortWord): number {
    return this.#dom0Ports + port * PORT_WORDS + PORT[name]
  }

  get(name: DomainWord, element = 0): number {
    return Atomics.load(this.i32, this.domain(name, element)) >>> 0
  }
  set(name: DomainWord, value: number, element = 0): void {
    Atomics.store(this.i32, this.domain(name, element), value)
  }
  getVcpu(vcpu: number, name: VcpuWord, element = 0): number {
    return Atomics.load(this.i32, this.vcpu(vcpu, name, element)) >>> 0
  }
  setVcpu(vcpu: number, name: VcpuWord, value: number, element = 0): void {
    Atomics.store(this.i32, this.vcpu(vcpu, name, element), value)
  }
  getPort(port: number, name: PortWord): number {
    return Atomics.load(this.i32, this.port(port, name)) >>> 0
  }
  setPort(port: number, name: PortWord, value: number): void {
    Atomics.store(this.i32, this.port(port, name), value)
  }
  getDom0Port(port: number, name: PortWord): number {
    return Atomics.load(this.i32, this.dom0Port(port, name)) >>> 0
  }
  setDom0Port(port: number, name: PortWord, value: number): void {
    Atomics.store(this.i32, this.dom0Port(port, name), value)
  }

  /** Times in ns. An aligned 8-byte store is one access on every host that runs this. */
  getTime(vcpu: number, name: VcpuWord, element = 0): number {
    return this.f64[this.vcpu(vcpu, name) / 2 + element]!
  }
  setTime(vcpu: number, name: VcpuWord, ns: number, element = 0): void {
    this.f64[this.vcpu(vcpu, name) / 2 + element] = ns
  }
  getWatchdog(slot: number): number {
    return this.f64[this.domain('watchdog') / 2 + slot]!
  }
  setWatchdog(slot: number, ns: number): void {
    this.f64[this.domain('watchdog') / 2 + slot] = ns
  }
  getBig(name: 'wallclockNs' | 'param', element = 0): bigint {
    return Atomics.load(this.u64, this.domain(name) / 2 + element)
  }
  setBig(name: 'wallclockNs' | 'param', value: bigint, element = 0): void {
    Atomics.store(this.u64, this.domain(name) / 2 + element, BigInt.asUintN(64, value))
  }
  /** The bytes of a field, live. */
  bytes(name: 'uuid' | 'memoryMap'): Uint8Array<SharedArrayBuffer> {
    const at = this.domain(name) * 4
    return this.memory.u8.subarray(at, at + domain_state.fields[name].size(64))
  }
  /** Byte offset in machine memory of a byte field of a vCPU. */
  vcpuBytes(vcpu: number, name: 'dummyInfo' | 'context'): number {
    return this.vcpu(vcpu, name) * 4
  }
}
