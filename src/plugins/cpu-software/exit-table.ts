/** The parts of plugins that live in a vCPU's thread, found by what they claimed (engine/exits.ts made the tables and froze them). */
import type { CpuidResult, CreateVcpuExits, Vcpu, VcpuExits } from '../../base/vcpu.ts'
import type { FrozenExits, Range } from '../../engine/plugin.ts'

interface Claimed {
  readonly range: Range
  readonly exits: VcpuExits
}

export class ExitTable {
  readonly parts: readonly VcpuExits[]
  readonly #hypercalls = new Map<number, VcpuExits>()
  readonly #cpuid: Claimed[] = []
  readonly #msrs: Claimed[] = []
  readonly #ports: Claimed[] = []
  readonly #mmio: Claimed[] = []

  private constructor(entries: readonly { part: FrozenExits['parts'][number]; exits: VcpuExits }[]) {
    this.parts = entries.map(({ exits }) => exits)
    for (const { part, exits } of entries) {
      for (const nr of part.hypercalls ?? []) this.#hypercalls.set(nr, exits)
      for (const [list, ranges] of [
        [this.#cpuid, part.cpuid],
        [this.#msrs, part.msrs],
        [this.#ports, part.ports],
        [this.#mmio, part.mmio],
      ] as const)
        for (const range of ranges ?? []) list.push({ range, exits })
    }
  }

  /** Loads every part's module and makes its exits for this vCPU. */
  static async load(vcpu: Vcpu, frozen: FrozenExits): Promise<ExitTable> {
    const entries = []
    for (const part of frozen.parts) {
      const module = (await import(part.module)) as { default?: CreateVcpuExits }
      if (typeof module.default !== 'function')
        throw new Error(`${part.plugin}: ${part.module} has no default export that makes vCPU exits`)
      entries.push({ part, exits: module.default(vcpu, part.data) })
    }
    return new ExitTable(entries)
  }

  /** False: nobody claimed the number. */
  hypercall(nr: number): boolean {
    const exits = this.#hypercalls.get(nr)
    if (exits?.hypercall === undefined) return false
    exits.hypercall(nr)
    return true
  }
  get hasHypercalls(): boolean {
    return this.#hypercalls.size > 0
  }
  cpuid(leaf: number, subleaf: number, out: CpuidResult): void {
    find(this.#cpuid, leaf)?.cpuid?.(leaf, subleaf, out)
  }
  rdmsr(index: number): bigint | undefined {
    return find(this.#msrs, index)?.rdmsr?.(index)
  }
  wrmsr(index: number, value: bigint): boolean {
    return find(this.#msrs, index)?.wrmsr?.(index, value) ?? false
  }
  /** All ones where nobody is. */
  portIn(port: number, width: 1 | 2 | 4): number {
    return find(this.#ports, port)?.portIn?.(port, width) ?? 0xffffffff
  }
  portOut(port: number, width: 1 | 2 | 4, value: number): void {
    find(this.#ports, port)?.portOut?.(port, width, value)
  }
  mmioRead(gpa: number, width: number): bigint {
    return find(this.#mmio, gpa)?.mmioRead?.(gpa, width) ?? (1n << 64n) - 1n
  }
  mmioWrite(gpa: number, width: number, value: bigint): void {
    find(this.#mmio, gpa)?.mmioWrite?.(gpa, width, value)
  }

  /** Earliest system time at which a part wants `expire`. */
  deadline(): number {
    let earliest = Number.POSITIVE_INFINITY
    for (const part of this.parts) earliest = Math.min(earliest, part.deadline?.() ?? earliest)
    return earliest
  }
  expire(now: number): void {
    for (const part of this.parts)
      if ((part.deadline?.() ?? Number.POSITIVE_INFINITY) <= now) part.expire?.(now)
  }
  /** Vector of a level-like interrupt, -1 for none. */
  pendingVector(): number {
    for (const part of this.parts) {
      const vector = part.pendingVector?.() ?? -1
      if (vector >= 0) return vector
    }
    return -1
  }
}

function find(list: readonly Claimed[], at: number): VcpuExits | undefined {
  for (const { range, exits } of list) if (at >= range[0] && at <= range[1]) return exits
  return undefined
}
