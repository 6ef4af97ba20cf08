/**
 * The exit tables: which plugin serves which hypercall, CPUID leaf, MSR, port or MMIO range. Filled during setup,
 * then frozen; nothing looks at this file while a guest runs. Pure.
 */
import { errors } from './errors.ts'
import type { ExitClaims, ExitTables, FrozenExits, Range } from './plugin.ts'

type Kind = 'hypercalls' | 'cpuid' | 'msrs' | 'ports' | 'mmio'

interface Taken {
  readonly first: number
  readonly last: number
  readonly plugin: string
}

/** How an entry is called in messages, and the highest number there is. MMIO addresses stay below 2^52. */
const KINDS: Readonly<Record<Kind, { readonly word: string; readonly max: number }>> = {
  hypercalls: { word: 'hypercall', max: 0xffff_ffff },
  cpuid: { word: 'CPUID leaf', max: 0xffff_ffff },
  msrs: { word: 'MSR', max: 0xffff_ffff },
  ports: { word: 'port', max: 0xffff },
  mmio: { word: 'MMIO', max: 2 ** 52 - 1 },
}

export class ExitRegistry {
  readonly #taken: Record<Kind, Taken[]> = { hypercalls: [], cpuid: [], msrs: [], ports: [], mmio: [] }
  readonly #parts: (ExitClaims & { readonly plugin: string })[] = []
  #frozen = false

  /** The tables as one plugin sees them. A claim that conflicts takes nothing at all. */
  forPlugin(plugin: string): ExitTables {
    return { claim: (claims) => this.#claim(plugin, claims) }
  }

  /** Ends the time of claims; the answer goes to the CPU backend. */
  freeze(): FrozenExits {
    this.#frozen = true
    return Object.freeze({ parts: Object.freeze([...this.#parts]) })
  }

  #claim(plugin: string, claims: ExitClaims): void {
    if (this.#frozen) throw errors.XT_EXIT_LATE(plugin)
    const fresh = (Object.keys(KINDS) as Kind[]).flatMap((kind) =>
      rangesOf(kind, claims).map((range) => ({ kind, ...this.#free(plugin, kind, range) })),
    )
    for (const [index, { kind, first, last }] of fresh.entries()) {
      const twice = fresh
        .slice(0, index)
        .find((other) => other.kind === kind && overlap(other, { first, last }))
      if (twice !== undefined) throw errors.XT_EXIT_CONFLICT(describe(kind, first, last), plugin, plugin)
    }
    for (const { kind, ...taken } of fresh) this.#taken[kind].push(taken)
    this.#parts.push({ ...claims, plugin })
  }

  #free(plugin: string, kind: Kind, [first, last]: Range): Taken {
    const valid = Number.isInteger(first) && Number.isInteger(last) && first >= 0 && first <= last
    if (!valid || last > KINDS[kind].max) throw errors.XT_EXIT_INVALID(plugin, describe(kind, first, last))
    const other = this.#taken[kind].find((taken) => overlap(taken, { first, last }))
    if (other !== undefined) {
      const from = Math.max(first, other.first)
      const to = Math.min(last, other.last)
      throw errors.XT_EXIT_CONFLICT(describe(kind, from, to), other.plugin, plugin)
    }
    return { first, last, plugin }
  }
}

function rangesOf(kind: Kind, claims: ExitClaims): readonly Range[] {
  if (kind === 'hypercalls') return (claims.hypercalls ?? []).map((number) => [number, number] as const)
  return claims[kind] ?? []
}

type Span = Pick<Taken, 'first' | 'last'>
const overlap = (a: Span, b: Span): boolean => a.first <= b.last && b.first <= a.last

function describe(kind: Kind, first: number, last: number): string {
  const text = (value: number) => (kind === 'hypercalls' ? String(value) : `0x${value.toString(16)}`)
  return `${KINDS[kind].word} ${first === last ? text(first) : `${text(first)}-${text(last)}`}`
}
