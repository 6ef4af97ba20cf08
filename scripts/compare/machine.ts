/**
 * A whole guest that does the same every time: one traced vCPU, Xen, the store and the console in one thread, and a clock
 * that is the number of its taken branches. Nothing happens to it but at moments of that clock, so that two runs of the
 * same guest differ only if the processor does.
 */
import { type Domid, domid } from '../../src/base/brand.ts'
import { createLog } from '../../src/base/log.ts'
import { MachineMemory, PAGE_SIZE, planMachine } from '../../src/base/machine-memory.ts'
import { CONTROL_WORD, controlWord, requestVcpu, VCPU_REQUEST } from '../../src/base/vcpu-control.ts'
import { buildPvhGuest } from '../../src/engine/boot/build.ts'
import type { FrozenExits, VmInfo } from '../../src/engine/plugin.ts'
import type { CoreModules } from '../../src/plugins/cpu-software/cpu.ts'
import { CpuState } from '../../src/plugins/cpu-software/cpu-state.ts'
import { ExitTable } from '../../src/plugins/cpu-software/exit-table.ts'
import { startFlat } from '../../src/plugins/cpu-software/reset.ts'
import { eventCount } from '../../src/plugins/cpu-software/trace/trace.ts'
import type { Translation } from '../../src/plugins/cpu-software/translate/translator.ts'
import { SoftwareVcpu, stateBase } from '../../src/plugins/cpu-software/vcpu.ts'
import { buildDomain } from '../../src/plugins/xen-shim/toolstack.ts'
import { MemoryStore } from '../../src/testkit/memory-store.ts'
import { HYPERCALL_PAGE_MSR, XEN_CPUID_FIRST, XEN_CPUID_LAST } from '../../src/xen/cpuid.ts'
import type { Domain, SpecialPage } from '../../src/xen/domain.ts'
import { BytePipe, CONSOLE_RING, XENSTORE_RING } from '../../src/xen/ring/byte-ring.ts'
import type { Connection } from '../../src/xen/xenstore/connection.ts'
import { domainTree, writeNodes } from '../../src/xen/xenstore/domain-tree.ts'
import { PacketReader } from '../../src/xen/xenstore/wire.ts'
import type { Xenstore } from '../../src/xen/xenstore/xenstore.ts'
import type { Service } from './service.ts'

export interface MachineInput {
  readonly modules: CoreModules
  readonly translation: Translation
  readonly kernel: Uint8Array
  readonly ramdisk?: Uint8Array
  readonly cmdline: string
  readonly memoryMiB: number
  /** Gets what the guest prints; true ends the run. */
  readonly isEnough: (console: string) => boolean
}

/** How a run ended, thrown out of it. */
export class MachineEnd extends Error {}

const DOMID: Domid = domid(1)
const UUID = '00000000-1111-2222-3333-444444444401'
/** A taken branch, in ns of the guest's clock. */
const NS_PER_EVENT = 10
/** Between two looks at the rings. */
const SERVICE_NS = 100_000
/** 2026-01-01, UTC. */
const WALLCLOCK_NS = 1_767_225_600_000_000_000n

export class ComparedMachine {
  readonly vcpu: SoftwareVcpu
  readonly memory: MachineMemory
  readonly state: CpuState
  console = ''
  readonly log: string[] = []
  readonly #input: MachineInput
  #idleNs = 0
  #drainConsole: () => number = () => 0

  static async make(input: MachineInput): Promise<ComparedMachine> {
    const machine = new ComparedMachine(input)
    await machine.#assemble()
    return machine
  }

  private constructor(input: MachineInput) {
    this.#input = input
    this.memory = MachineMemory.create(planMachine(input.memoryMiB << 20, 1)!)
    const log = createLog((level, line) => void this.log.push(`${level}: ${line}`))
    const end = (why: string) => {
      throw new MachineEnd(why)
    }
    this.vcpu = new SoftwareVcpu(
      this.memory,
      0,
      input.modules,
      log,
      () => this.#now(),
      {
        shutdown: (reason, detail) => end(`the guest ended: ${detail ?? `shutdown reason ${reason}`}`),
        profile: () => {},
        resting: () => {},
      },
      input.translation,
    )
    this.state = this.vcpu.cpu.state
    // Time passes at once while the guest sleeps.
    this.vcpu.sleep = (until) => {
      if (Atomics.load(this.memory.i32, controlWord(this.memory, 0, CONTROL_WORD.request)) !== 0) return
      if (until === Number.POSITIVE_INFINITY) end('the guest sleeps for ever')
      this.#idleNs += Math.max(0, until - this.#now())
    }
  }

  get events(): number {
    return eventCount(this.state)
  }
  /** Runs until `isEnough`, or until the guest or an event's reader ends it: why. Errors of ours are thrown. */
  run(): string {
    try {
      return this.vcpu.run()
    } catch (error) {
      if (!(error instanceof MachineEnd)) throw error
      this.#drainConsole()
      return error.message
    }
  }

  #now(): number {
    return this.events * NS_PER_EVENT + this.#idleNs
  }

  async #assemble(): Promise<void> {
    const { memory, vcpu } = this
    const { kernel, ramdisk, cmdline, memoryMiB } = this.#input
    const vm = { domid: DOMID, uuid: UUID, vcpus: 1, maxVcpus: 1, config: {} } as unknown as VmInfo
    const { domain, store, console } = buildDomain(memory, vm, { upcall: 'callback', maxEventChannels: 1023 })
    const guest = buildPvhGuest(memory, {
      kernel,
      kernelName: 'the kernel',
      ...(ramdisk && { ramdisk }),
      cmdline,
      vcpus: 1,
      maxVcpus: 1,
    })
    domain.setMemoryMap(
      guest.memoryMap.map(({ start, size, type }) => ({ addr: BigInt(start), size: BigInt(size), type })),
    )
    const connection = await enterStore(memoryMiB * 1024, store, console)
    const service = this.#service(domain, connection, store, console)
    vcpu.exits = await ExitTable.load(vcpu, exits(service))
    vcpu.prepare()
    startFlat(new CpuState(memory, stateBase(memory, 0)), {
      mode: 32,
      rip: BigInt(guest.entry),
      regs: { rbx: BigInt(guest.startInfo) },
    })
    requestVcpu(memory, 0, VCPU_REQUEST.start)
  }

  #service(
    domain: Domain,
    { xenstore, connection }: StoreLink,
    store: SpecialPage,
    console: SpecialPage,
  ): Service {
    const { memory } = this
    const pipe = ({ gfn }: SpecialPage, layout: typeof CONSOLE_RING) =>
      new BytePipe(memory, memory.hostOffset(gfn * PAGE_SIZE), layout)
    const storePipe = pipe(store, XENSTORE_RING)
    const consolePipe = pipe(console, CONSOLE_RING)
    const [storePort, consolePort] = [store, console].map(({ port }) => domain.evtchn.bindFromDom0(port, 0))
    const requests = new PacketReader()
    const chunk = new Uint8Array(4096)
    let answers: Uint8Array[] = []
    const serveStore = () => {
      const count = storePipe.read(chunk)
      if (count > 0)
        for (const packet of requests.push(chunk.subarray(0, count))) xenstore.handle(connection, packet)
      for (let bytes = connection.take(); bytes !== undefined; bytes = connection.take()) answers.push(bytes)
      let moved = Math.max(count, 0)
      while (answers.length > 0) {
        const written = storePipe.write(answers[0]!)
        if (written <= 0) break
        moved += written
        if (written === answers[0]!.length) answers = answers.slice(1)
        else answers[0] = answers[0]!.subarray(written)
      }
      if (moved > 0) domain.evtchn.notifyFromDom0(storePort!)
    }
    this.#drainConsole = () => {
      const count = consolePipe.read(chunk)
      if (count > 0) this.console += Buffer.from(chunk.subarray(0, count)).toString('latin1')
      return count
    }
    const serveConsole = () => {
      if (this.#drainConsole() <= 0) return
      domain.evtchn.notifyFromDom0(consolePort!)
      if (this.#input.isEnough(this.console)) throw new MachineEnd('the guest printed what was waited for')
    }
    let isClockSet = false
    const service: Service = {
      deadline: SERVICE_NS,
      serve: (nowNs) => {
        service.deadline = nowNs + SERVICE_NS
        serveStore()
        serveConsole()
      },
      // The Xen part has just set it by the host's.
      started: () => {
        if (!isClockSet) domain.clocks.setWallclock(WALLCLOCK_NS)
        isClockSet = true
      },
    }
    return service
  }
}

interface StoreLink {
  readonly xenstore: Xenstore
  readonly connection: Connection
}

/** A store with the domain's nodes, and the guest's connection to it. */
async function enterStore(memoryKiB: number, store: SpecialPage, console: SpecialPage): Promise<StoreLink> {
  const memoryStore = new MemoryStore()
  const { xenstore } = memoryStore
  const tool = memoryStore.tool()
  const nodes = domainTree({
    domid: DOMID,
    name: 'compared',
    uuid: UUID,
    vcpus: 1,
    maxVcpus: 1,
    staticMaxKiB: memoryKiB,
    targetKiB: memoryKiB,
    startTimeSeconds: Number(WALLCLOCK_NS / 1_000_000_000n),
    store,
    console: { ...console, tty: '' },
  })
  await tool.transaction((tx) => writeNodes(tool, nodes, tx))
  tool.close()
  const connection = xenstore.connectGuest(DOMID, { resume: false, introduce: store })
  if (typeof connection === 'string') throw new Error(connection)
  return { xenstore, connection }
}

/** What the shim's plugin claims (xen-shim/index.ts), and the service. */
function exits(service: Service): FrozenExits {
  const here = (path: string) => new URL(path, import.meta.url).href
  return {
    parts: [
      {
        plugin: 'xen-shim',
        hypercalls: Array.from({ length: 64 }, (_, nr) => nr),
        cpuid: [[XEN_CPUID_FIRST, XEN_CPUID_LAST]],
        msrs: [[HYPERCALL_PAGE_MSR, HYPERCALL_PAGE_MSR]],
        ports: [[0xe9, 0xe9]],
        module: here('../../src/plugins/xen-shim/vcpu.ts'),
      },
      { plugin: 'compared', module: here('./service.ts'), data: service },
    ],
  }
}
