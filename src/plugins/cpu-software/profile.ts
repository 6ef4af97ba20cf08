/**
 * What the time of a vCPU's thread goes into, for `xt debug cpu`: V8's sampling profiler in that thread, sorted by the
 * parts of this CPU. It costs nothing while nobody watches; beginning to watch stops the vCPU for some milliseconds.
 */
import { type Profiler, Session } from 'node:inspector'
import type { VcpuProfile } from '../../engine/plugin.ts'

const INTERVAL_US = 500
const FUNCTIONS = 20

/** Where functions lie, by the path of their file. The first that fits counts. */
const PLACES: readonly (readonly [RegExp, string])[] = [
  [/\/cpu-software\/block\//, 'decoding'],
  [/\/cpu-software\/(translate|wasm|read|sem)\//, 'translating'],
  [/\/cpu-software\/(vcpu|worker|profile)\./, 'run loop'],
  [/\/cpu-software\/(system|fp|mmu|cpu|cpu-state|cpuid)\b/, 'assists'],
  [/\/cpu-software\//, 'run loop'],
  [/\/(xen|xen-shim)\//, 'Xen'],
  [/\/base\//, 'run loop'],
]
/** Names of modules (core.ts); all others are regions. */
const MODULES: readonly (readonly [string, string])[] = [
  ['interpreter', 'interpreter'],
  ['handlers', 'handlers'],
]
/** Functions of the run loop that wait for something to do. */
const WAITING = /^(sleep|#?rest|#?park|spinning|#?serveRequests)$/

export class ThreadProfiler {
  #session: Session | undefined

  get isOn(): boolean {
    return this.#session !== undefined
  }

  start(): void {
    const session = new Session()
    session.connect()
    session.post('Profiler.enable')
    session.post('Profiler.setSamplingInterval', { interval: INTERVAL_US })
    session.post('Profiler.start')
    this.#session = session
  }

  stop(index: number): VcpuProfile {
    const session = this.#session!
    this.#session = undefined
    let profile: Profiler.Profile | undefined
    // In the same thread the answer is there when `post` returns.
    session.post('Profiler.stop', (_error, answer) => {
      profile = answer?.profile
    })
    session.disconnect()
    return { index, ...sortProfile(profile?.nodes ?? []) }
  }
}

/** Shares by part, and the functions with the most, of V8's call tree. */
export function sortProfile(nodes: readonly Profiler.ProfileNode[]): Omit<VcpuProfile, 'index'> {
  const parts = new Map<string, number>()
  const functions = new Map<string, { name: string; part: string; hits: number }>()
  const total = nodes.reduce((sum, { hitCount = 0 }) => sum + hitCount, 0)
  for (const { callFrame, hitCount = 0 } of nodes) {
    if (hitCount === 0) continue
    const part = partOf(callFrame)
    parts.set(part, (parts.get(part) ?? 0) + hitCount)
    const file = callFrame.url.slice(callFrame.url.lastIndexOf('/') + 1)
    const name = file === '' ? callFrame.functionName : `${callFrame.functionName || 'anonymous'} (${file})`
    const known = functions.get(name)
    if (known === undefined) functions.set(name, { name, part, hits: hitCount })
    else known.hits += hitCount
  }
  const most = [...functions.values()].sort((a, b) => b.hits - a.hits).slice(0, FUNCTIONS)
  return {
    parts: Object.fromEntries([...parts].map(([part, hits]) => [part, hits / total])),
    functions: most.map(({ name, part, hits }) => ({ name, part, share: hits / total })),
  }
}

function partOf({ functionName, url }: Profiler.ProfileNode['callFrame']): string {
  if (functionName.startsWith('wasm-to-js')) return 'crossings'
  if (url.startsWith('wasm:')) {
    const module = MODULES.find(([name]) => url.startsWith(`wasm://wasm/${name}-`))
    if (module === undefined) return 'regions'
    // Time inside a module is now and then charged to the wrapper that it was entered through.
    const isMemoryUnit = module[1] === 'interpreter' && !/^(run$|js-to-wasm)/.test(functionName)
    return isMemoryUnit ? 'memory unit' : module[1]
  }
  if (functionName === '(garbage collector)') return 'garbage collection'
  const place = PLACES.find(([path]) => path.test(url))?.[1] ?? 'other'
  return place === 'run loop' && WAITING.test(functionName) ? 'waiting' : place
}
