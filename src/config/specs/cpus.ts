/**
 * Sets of host CPUs (`cpus`, `cpus_soft`, vcpu-pin): `0-3,^1`, `all`, `node:1`, done item by item.
 *
 * XEN: CPUs beyond the host vanish in silence, and so do nodes.
 */
import { ULONG_MAX, unsignedLong } from '../xl/number.ts'
import { accept, refuse, type SpecResult } from './fault.ts'
import type { SpecToken } from './tokens.ts'

/** The CPUs of the host, by node. */
export interface HostTopology {
  readonly nodes: readonly (readonly number[])[]
}

export function hostCpus(host: HostTopology): number {
  return Math.max(-1, ...host.nodes.flat()) + 1
}

/** The CPUs of a set, ascending. */
export function parseCpus(spec: string, host: HostTopology): SpecResult<readonly number[]> {
  const count = hostCpus(host)
  const set = new Set<number>()
  let at = 0
  for (const text of spec.split(',')) {
    const item: SpecToken = { text, at }
    at += text.length + 1
    if (text === '') continue
    const message = applyItem(set, text, host, count)
    if (message !== undefined)
      return refuse({ message, near: item.text, at: item.at, hint: 'Items are N, N-M, ^N, all, node:N.' })
  }
  return accept([...set].sort((a, b) => a - b))
}

/** Adds or removes one item; the answer is what is wrong with it. */
function applyItem(set: Set<number>, text: string, host: HostTopology, count: number): string | undefined {
  const removes = text.startsWith('^')
  const [, nodes, range] = /^(nodes?:)?(.*)$/s.exec(removes ? text.slice(1) : text)!
  if (range === 'all') {
    if (removes) return '^ and all cannot be combined'
    for (let cpu = 0; cpu < count; cpu++) set.add(cpu)
    return undefined
  }
  const bounds = parseRange(range!)
  if (bounds === undefined) return 'invalid CPU range'
  const limit = nodes === undefined ? count : host.nodes.length
  for (let i = 0; i < limit; i++) {
    if (!covers(bounds, i)) continue
    for (const cpu of nodes === undefined ? [i] : host.nodes[i]!) {
      if (removes) set.delete(cpu)
      else set.add(cpu)
    }
  }
  return undefined
}

const INT_RANGE = 2n ** 32n

/** XEN: libxl counts with longs and puts each into an int, so that 4294967296 is CPU 0. */
function covers({ first, last }: { first: bigint; last: bigint }, index: number): boolean {
  const rest = (BigInt(index) - first) % INT_RANGE
  return first + (rest < 0n ? rest + INT_RANGE : rest) <= last
}

/** `N` or `N-M`, decimal, M not below N. */
export function parseRange(text: string): { readonly first: bigint; readonly last: bigint } | undefined {
  const first = unsignedLong(text, 10)
  if (first.length === 0 || first.value === ULONG_MAX) return undefined
  if (first.length === text.length) return { first: first.value, last: first.value }
  if (text[first.length] !== '-') return undefined
  const rest = text.slice(first.length + 1)
  const last = unsignedLong(rest, 10)
  if (last.length === 0 || last.length !== rest.length || last.value === ULONG_MAX) return undefined
  return last.value < first.value ? undefined : { first: first.value, last: last.value }
}

/** A set as xl prints it: `0-1,6`, `all`, `none`. */
export function printCpus(cpus: readonly number[], count: number): string {
  if (cpus.length === 0) return 'none'
  if (cpus.length === count) return 'all'
  const runs: string[] = []
  for (let i = 0; i < cpus.length; ) {
    let end = i
    while (cpus[end + 1] === cpus[end]! + 1) end++
    runs.push(end === i ? `${cpus[i]}` : `${cpus[i]}-${cpus[end]}`)
    i = end + 1
  }
  return runs.join(',')
}
