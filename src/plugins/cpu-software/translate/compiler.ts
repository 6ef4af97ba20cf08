/** Makes modules of jobs: for one vCPU on its own thread (tests), or for all of a machine on another (worker.ts). */
import type { Traced } from '../trace/emit-trace.ts'
import { optimising } from '../wasm/engine.ts'
import type { RegionEntry, RegionJob } from './job.ts'
import { buildRegion } from './region.ts'

/** A region compiled: what a vCPU makes its instance of. */
export interface CompiledRegion {
  readonly module: WebAssembly.Module
  readonly entries: readonly RegionEntry[]
  /** Of its WebAssembly. */
  readonly bytes: number
}

/** Asked for on a vCPU's port; `id` comes back with the answer. A region that could not be made has no `compiled`. */
export interface CompileRequest {
  readonly id: number
  readonly job: RegionJob
}
export interface CompileAnswer {
  readonly id: number
  readonly compiled: CompiledRegion | undefined
  readonly error: string | undefined
}

/** The way to the thread that compiles. `receive` answers at once: undefined if nothing has come. */
export interface CompilerPort {
  post(request: CompileRequest): void
  receive(): CompileAnswer | undefined
}

/**
 * `optimise`: takes milliseconds, on this thread; else V8 makes baseline code when the region is entered, which is little
 * faster than the interpreter, and for which a vCPU waits. `traced`: for a traced core.
 */
export function compileRegion(job: RegionJob, optimise: boolean, traced?: Traced): CompiledRegion {
  const { bytes, entries } = buildRegion(job, traced)
  using _ = optimise ? optimising() : undefined
  return { module: new WebAssembly.Module(bytes), entries, bytes: bytes.length }
}
