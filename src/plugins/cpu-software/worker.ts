/** A vCPU's thread: builds the CPU over the shared machine memory, reports ready, and runs until terminated. */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { createLog, type LogLevel } from '../../base/log.ts'
import { type MachineLayout, MachineMemory } from '../../base/machine-memory.ts'
import type { FrozenExits, VcpuProfile } from '../../engine/plugin.ts'
import { systemClock } from './clock.ts'
import type { CoreModules } from './cpu.ts'
import type { CpuidRule } from './cpuid-policy.ts'
import { ExitTable } from './exit-table.ts'
import { ThreadProfiler } from './profile.ts'
import { TraceLog, type TraceWish } from './trace/log.ts'
import type { CompileAnswer, CompilerPort } from './translate/compiler.ts'
import type { TranslationMode } from './translate/translator.ts'
import { SoftwareVcpu, type VcpuEvents } from './vcpu.ts'

export interface VcpuWorkerData {
  readonly memory: WebAssembly.Memory
  readonly layout: MachineLayout
  readonly index: number
  readonly modules: CoreModules
  readonly exits: FrozenExits
  readonly cpuidRules: readonly CpuidRule[]
  /** Host monotonic time in ns at which system time was 0. */
  readonly epochNs: bigint
  /** One word: whether somebody watches what the thread's time goes into. */
  readonly watched: Int32Array<SharedArrayBuffer>
  readonly translation: TranslationMode
  /** To the thread that compiles regions. */
  readonly compiler: MessagePort | undefined
  /** For modules of a traced core. */
  readonly trace: TraceWish | undefined
}

export type VcpuMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'shutdown'; readonly reason: number; readonly detail: string | undefined }
  | { readonly type: 'profile'; readonly profile: VcpuProfile }
  | { readonly type: 'log'; readonly level: LogLevel; readonly line: string }
  | { readonly type: 'failed'; readonly message: string; readonly stack: string | undefined }

const post = (message: VcpuMessage): void => parentPort!.postMessage(message)

const compilerPort = (port: MessagePort): CompilerPort => ({
  post: (request) => port.postMessage(request),
  receive: () => (receiveMessageOnPort(port) as { message: CompileAnswer } | undefined)?.message,
})

async function main(): Promise<void> {
  const data = workerData as VcpuWorkerData
  const memory = new MachineMemory(data.memory, data.layout)
  const profiler = new ThreadProfiler()
  const log = createLog((level, line) => post({ type: 'log', level, line }))
  let trace: TraceLog | undefined
  const events: VcpuEvents = {
    shutdown: (reason, detail) => post({ type: 'shutdown', reason, detail }),
    profile: () => {
      const wanted = Atomics.load(data.watched, 0) !== 0
      if (wanted && !profiler.isOn) profiler.start()
      else if (!wanted && profiler.isOn) post({ type: 'profile', profile: profiler.stop(data.index) })
    },
    resting: () => trace?.flush(),
  }
  const clock = systemClock(data.epochNs)
  const vcpu = new SoftwareVcpu(memory, data.index, data.modules, log, clock, events, {
    mode: data.translation,
    port: data.compiler && compilerPort(data.compiler),
  })
  if (data.trace !== undefined) trace = new TraceLog(vcpu.cpu, data.trace)
  vcpu.cpuidRules = data.cpuidRules
  vcpu.exits = await ExitTable.load(vcpu, data.exits)
  vcpu.prepare()
  post({ type: 'ready' })
  vcpu.run()
}

main().catch((error: unknown) => {
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  post({ type: 'failed', message, stack })
})
