/**
 * Virtual NUMA nodes (`vnuma`): a list of lists of `pnode=`, `size=` (MiB), `vcpus=`, `vdistances=`.
 * The result is libxl's structure, its names. XEN: faults that make xl write beyond its memory are refused.
 */
import type { LibxlObject } from '../libxl-config.ts'
import { ULONG_MAX, unsignedLong } from '../xl/number.ts'
import { parseRange } from './cpus.ts'
import { accept, refuse, type SpecResult } from './fault.ts'
import { option } from './tokens.ts'

const MOST_VCPUS = 4096n
/** XEN: the room that xl has for distances whatever the number of nodes; beyond, it destroys its own memory. */
const HARMLESS_DISTANCES = 6

/** A node under construction. */
export class VnumaNode {
  readonly #nodes: number
  readonly #hostNodes: number
  readonly #distances: number[]
  readonly #vcpus = new Set<number>()
  #memkb: bigint | undefined
  #pnode: number | undefined
  /** Entries of `vcpus=`, counted with repetitions, as xl compares their sum with maxvcpus. */
  vcpuCount = 0
  /** Sum of all `size=`, as xl compares it with maxmem, though the last one counts for the node. */
  totalMemkb = 0n

  constructor(nodes: number, hostNodes: number) {
    this.#nodes = nodes
    this.#hostNodes = hostNodes
    this.#distances = new Array<number>(nodes).fill(0)
  }

  get hasPnode(): boolean {
    return this.#pnode !== undefined
  }

  add(spec: string): SpecResult<undefined> {
    const part = option({ text: spec, at: 0 })
    if (part === undefined || part.key === '' || part.value === '') {
      return refuse({ message: 'not of the form key=value', near: spec, at: 0 })
    }
    const message = this.#set(part.key.trim(), part.value.trim())
    if (message?.endsWith(', ignored')) return accept(undefined, [{ message, near: spec, at: 0 }])
    return message === undefined ? accept(undefined) : refuse({ message, near: spec, at: 0 })
  }

  finish(): LibxlObject {
    const vcpus = [...this.#vcpus].sort((a, b) => a - b)
    const node: LibxlObject = { distances: this.#distances, vcpus }
    if (this.#memkb !== undefined) node['memkb'] = this.#memkb
    if (this.#pnode !== undefined) node['pnode'] = this.#pnode
    return node
  }

  #set(key: string, value: string): string | undefined {
    const number = readNumber(value)
    switch (key) {
      case 'pnode':
        if (number === undefined) return 'not a number'
        if (number >= BigInt(this.#hostNodes)) return `the host has no node ${value}`
        this.#pnode = Number(number)
        return undefined
      case 'size':
        if (number === undefined) return 'not a number'
        this.#memkb = BigInt.asUintN(64, number << 10n)
        this.totalMemkb += this.#memkb
        return undefined
      case 'vcpus':
        return this.#setVcpus(value)
      case 'vdistances':
        return this.#setDistances(value)
      default:
        return 'unknown option, ignored'
    }
  }

  #setVcpus(value: string): string | undefined {
    for (const text of value.split(',').filter((part) => part !== '')) {
      const range = parseRange(text)
      if (range === undefined || range.last >= MOST_VCPUS) return 'not a list of vcpus'
      for (let vcpu = Number(range.first); vcpu <= Number(range.last); vcpu++) {
        this.#vcpus.add(vcpu)
        this.vcpuCount++
      }
    }
    return undefined
  }

  #setDistances(value: string): string | undefined {
    const distances = value
      .split(',')
      .filter((part) => part !== '')
      .map(readNumber)
    if (distances.length > Math.max(this.#nodes, HARMLESS_DISTANCES)) return 'more distances than nodes'
    if (distances.includes(undefined)) return 'not a number'
    for (const [i, distance] of distances.slice(0, this.#nodes).entries())
      this.#distances[i] = Number(BigInt.asUintN(32, distance!))
    return distances.length > this.#nodes ? 'more distances than nodes, ignored' : undefined
  }
}

function readNumber(text: string): bigint | undefined {
  const { value, length } = unsignedLong(text, 10)
  return length === 0 || value === ULONG_MAX ? undefined : value
}
