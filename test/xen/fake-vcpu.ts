/**
 * A scripted vCPU over real machine memory: no CPU runs, tests make its hypercalls. Guest-virtual addresses are
 * guest-physical ones.
 */
import { domid } from '../../src/base/brand.ts'
import { createLog } from '../../src/base/log.ts'
import { MachineMemory, planMachine } from '../../src/base/machine-memory.ts'
import { REG, type Vcpu } from '../../src/base/vcpu.ts'
import type { Fields, Struct, Values } from '../../src/xen/abi/struct.ts'
import { Domain, type DomainSetup } from '../../src/xen/domain.ts'
import { Call } from '../../src/xen/hypercall/call.ts'
import { GuestLines } from '../../src/xen/hypercall/guest-lines.ts'
import { hypercall } from '../../src/xen/hypercall/table.ts'

const MiB = 1 << 20

export function testMachine(ramBytes = 4 * MiB, vcpus = 2): MachineMemory {
  const layout = planMachine(ramBytes, vcpus)
  if (layout === undefined) throw new Error('no such machine')
  return MachineMemory.create(layout)
}

export function testDomain(setup: Partial<DomainSetup> = {}, ramBytes = 4 * MiB): Domain {
  const vcpus = setup.vcpus ?? 2
  return Domain.initialise(testMachine(ramBytes, vcpus), {
    domid: domid(6),
    uuid: Uint8Array.from({ length: 16 }, (_, i) => i),
    vcpus,
    tscKhz: 1_000_000,
    wallclockNs: 1_700_000_000_250_000_000n,
    ...setup,
  })
}

/** Where `FakeVcpu.call` puts its arguments: a page of guest RAM that tests leave alone. */
export const ARGUMENTS = 0x100000n

export class FakeVcpu implements Vcpu {
  readonly index: number
  readonly memory: MachineMemory
  readonly domain: Domain
  readonly regs = new BigUint64Array(new SharedArrayBuffer(16 * 8))
  readonly logged: string[] = []
  readonly log = createLog((_level, line) => this.logged.push(line))
  readonly tscKhz = 1_000_000
  mode: 64 | 32 | 16 = 64
  cpl = 0
  nowNs = 0
  physmapChanges = 0
  readonly raised: { vcpu: number; vector: number }[] = []
  readonly shutdowns: number[] = []
  readonly started: { vcpu: number; mode: number; rip: bigint }[] = []
  readonly stopped: number[] = []
  blocked: { deadlineNs: number; ready: () => boolean } | undefined
  readonly #call: Call

  constructor(domain: Domain, index = 0) {
    this.domain = domain
    this.memory = domain.memory
    this.index = index
    this.#call = new Call(domain, this, new GuestLines(domain.state, this.log))
  }

  now(): number {
    return this.nowNs
  }
  readVirtual(address: bigint, length: number): Uint8Array | undefined {
    return address < 1n << 40n ? this.memory.read(Number(address), length) : undefined
  }
  writeVirtual(address: bigint, bytes: Uint8Array): boolean {
    return address < 1n << 40n && this.memory.write(Number(address), bytes)
  }
  translate(address: bigint): number {
    return this.memory.hostOffset(Number(address)) < 0 ? -1 : Number(address)
  }
  physmapChanged(): void {
    this.physmapChanges++
  }
  kick(): void {}
  raiseVector(vcpu: number, vector: number): void {
    this.raised.push({ vcpu, vector })
  }
  block(deadlineNs: number, ready: () => boolean): void {
    this.blocked = { deadlineNs, ready }
  }
  startVcpu(vcpu: number, context: { mode: number; rip: bigint }): boolean {
    this.started.push({ vcpu, mode: context.mode, rip: context.rip })
    return true
  }
  stopVcpu(vcpu: number): void {
    this.stopped.push(vcpu)
  }
  shutdown(reason: number): void {
    this.shutdowns.push(reason)
  }

  /** One hypercall with plain register arguments; the answer as a signed number. */
  hypercall(nr: number, ...args: readonly (number | bigint)[]): number {
    const order =
      this.mode === 64
        ? [REG.rdi, REG.rsi, REG.rdx, REG.r10, REG.r8]
        : [REG.rbx, REG.rcx, REG.rdx, REG.rsi, REG.rdi]
    for (const [i, arg] of args.entries()) this.regs[order[i]!] = BigInt.asUintN(64, BigInt(arg))
    this.regs[REG.rax] = BigInt(nr)
    hypercall(this.#call, nr)
    return Number(BigInt.asIntN(this.mode === 64 ? 64 : 32, this.regs[REG.rax]!))
  }

  /** A hypercall `nr(cmd, &struct)`: the answer and the structure afterwards. */
  op<F extends Fields>(
    nr: number,
    cmd: number,
    type: Struct<F>,
    values: Partial<Values<F>>,
    ...rest: readonly (number | bigint)[]
  ): { readonly result: number; readonly out: Values<F> } {
    const layout = type.for(this.mode === 64 ? 64 : 32)
    this.writeVirtual(ARGUMENTS, layout.bytes(values))
    const result = this.hypercall(nr, cmd, ARGUMENTS, ...rest)
    const bytes = this.readVirtual(ARGUMENTS, layout.size)!
    return { result, out: layout.copy(new DataView(bytes.buffer, bytes.byteOffset, bytes.length)) }
  }
}
