/**
 * The software x86-64 CPU as a plugin: provides `vcpus`, one worker thread each.
 *
 * The interpreter is compiled once, optimised, while the rest of the domain is set up, and shared by all threads.
 */
import { extname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { z } from 'zod'
import type { Log } from '../../base/log.ts'
import type { MachineMemory } from '../../base/machine-memory.ts'
import {
  CONTROL_WORD,
  controlWord,
  requestAllVcpus,
  requestVcpu,
  VCPU_REQUEST,
  VCPU_STATE,
} from '../../base/vcpu-control.ts'
import {
  definePlugin,
  type FrozenExits,
  type VcpuInfo,
  type VcpuProfile,
  type VcpuStartState,
  type Vcpus,
} from '../../engine/plugin.ts'
import { CpuState } from './cpu-state.ts'
import { type CpuidRule, cpuidRules } from './cpuid-policy.ts'
import { compileInterpreter } from './interpreter.ts'
import { startFlat } from './reset.ts'
import { readCounters, STATE } from './state.ts'
import { beginTraceFile, type TraceWish } from './trace/log.ts'
import { TRANSLATION_MODES, type TranslationMode } from './translate/translator.ts'
import type { CompilerWorkerData } from './translate/worker.ts'
import { RESET_MARK, stateBase } from './vcpu.ts'
import type { VcpuMessage, VcpuWorkerData } from './worker.ts'

/** A vCPU that is parked says nothing: it is not waited for any longer. */
const PROFILE_POLL_MS = 20
const PROFILE_TRIES = 100
/** How long a traced vCPU may take to write the end of its trace. */
const LAST_WORDS_MS = 2000
const STATE_NAMES = Object.fromEntries(
  Object.entries(VCPU_STATE).map(([name, value]) => [value, name]),
) as Record<number, VcpuInfo['state']>

class SoftwareVcpus implements Vcpus, AsyncDisposable {
  readonly #memory: MachineMemory
  readonly #log: Log
  readonly #workers: Worker[] = []
  /** Whether somebody watches the vCPUs (worker.ts), and who waits for what was seen. */
  readonly #watched = new Int32Array(new SharedArrayBuffer(4))
  #profiles: VcpuProfile[] = []
  #profiling: Promise<readonly VcpuProfile[]> | undefined
  readonly #epochNs = process.hrtime.bigint()
  #start: VcpuStartState = { rip: 0, rbx: 0 }
  #end!: (how: { reason: number; detail?: string }) => void
  #fail!: (error: Error) => void
  ended: Vcpus['ended']
  readonly failed: Promise<never>

  readonly #translation: TranslationMode
  readonly #trace: TraceWish | undefined

  constructor(memory: MachineMemory, log: Log, translation: TranslationMode, trace?: TraceWish) {
    this.#memory = memory
    this.#log = log
    this.#translation = translation
    this.#trace = trace
    this.ended = this.#nextEnd()
    this.failed = new Promise((_, reject) => {
      this.#fail = reject
    })
    // Whoever waits for it handles it; nobody waiting is no unhandled rejection.
    this.failed.catch(() => {})
  }
  #nextEnd(): Vcpus['ended'] {
    return new Promise((resolve) => {
      this.#end = resolve
    })
  }

  async launch(exits: FrozenExits, rules: readonly CpuidRule[]): Promise<void> {
    const modules = await compileInterpreter(this.#trace && 'all')
    const url = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url)
    const { layout, memory } = this.#memory
    const ports = this.#startCompiler()
    const ready = Array.from({ length: layout.vcpus }, (_, index) => {
      const workerData: VcpuWorkerData = {
        memory,
        layout,
        index,
        modules,
        exits,
        cpuidRules: rules,
        epochNs: this.#epochNs,
        watched: this.#watched,
        translation: this.#translation,
        compiler: ports[index],
        trace: this.#trace,
      }
      const transferList = ports[index] === undefined ? [] : [ports[index]]
      const worker = new Worker(url, { workerData, transferList, name: `vcpu${index}` })
      this.#workers.push(worker)
      return new Promise<void>((resolve, reject) => {
        const broken = (error: Error) => {
          reject(error)
          this.#fail(error)
        }
        worker.on('message', (message: VcpuMessage) => {
          if (message.type === 'ready') resolve()
          else if (message.type === 'log') this.#log[message.level](`vcpu${index}: ${message.line}`)
          else if (message.type === 'profile') this.#profiles.push(message.profile)
          else if (message.type === 'failed')
            broken(Object.assign(new Error(`vcpu${index}: ${message.message}`), { stack: message.stack }))
          else
            this.#end({
              reason: message.reason,
              ...(message.detail === undefined ? {} : { detail: message.detail }),
            })
        })
        worker.on('error', broken)
      })
    })
    await Promise.all(ready)
  }

  /** The thread that translates for all vCPUs: each one's port to it, none where nothing is translated off its thread. */
  #startCompiler(): MessagePort[] {
    // A traced CPU makes its own regions, at once: they are others, and the moment is the same every time.
    if (this.#translation !== 'normal' || this.#trace !== undefined) return []
    const channels = Array.from({ length: this.#memory.layout.vcpus }, () => new MessageChannel())
    const url = new URL(`./translate/worker${extname(import.meta.url)}`, import.meta.url)
    const workerData: CompilerWorkerData = {
      buffer: this.#memory.buffer,
      ports: channels.map(({ port1 }, index) => ({
        port: port1,
        answers: stateBase(this.#memory, index) + STATE.answers,
      })),
    }
    const worker = new Worker(url, {
      workerData,
      transferList: channels.map(({ port1 }) => port1),
      name: 'translator',
      // Translating makes garbage; with the small young generation of the process it would be collected all the time.
      resourceLimits: { maxYoungGenerationSizeMb: 32 },
    })
    worker.on('error', (error: Error) => this.#fail(error))
    this.#workers.push(worker)
    return channels.map(({ port2 }) => port2)
  }

  setStart(state: VcpuStartState): void {
    this.#start = state
  }
  async start(): Promise<void> {
    const state = new CpuState(this.#memory, stateBase(this.#memory, 0))
    startFlat(state, { mode: 32, rip: BigInt(this.#start.rip), regs: { rbx: BigInt(this.#start.rbx) } })
    requestVcpu(this.#memory, 0, VCPU_REQUEST.start)
  }
  async pause(): Promise<void> {
    const { layout } = this.#memory
    for (let vcpu = 0; vcpu < layout.vcpus; vcpu++) requestVcpu(this.#memory, vcpu, VCPU_REQUEST.park)
    for (let vcpu = 0; vcpu < layout.vcpus; vcpu++) await this.#until(vcpu, VCPU_STATE.parked)
  }
  async resume(): Promise<void> {
    const { i32, layout } = this.#memory
    for (let vcpu = 0; vcpu < layout.vcpus; vcpu++) {
      const index = controlWord(this.#memory, vcpu, CONTROL_WORD.request)
      Atomics.and(i32, index, ~VCPU_REQUEST.park)
      Atomics.notify(i32, index)
    }
  }
  async reset(): Promise<void> {
    const { i32, layout } = this.#memory
    this.ended = this.#nextEnd()
    for (let vcpu = 0; vcpu < layout.vcpus; vcpu++)
      Atomics.store(i32, controlWord(this.#memory, vcpu, CONTROL_WORD.stateBeforePark), RESET_MARK)
    await this.resume()
    for (let vcpu = 0; vcpu < layout.vcpus; vcpu++) await this.#until(vcpu, VCPU_STATE.offline)
  }
  async stop(): Promise<void> {
    // A vCPU that is parked has written what it gathered.
    if (this.#trace !== undefined && this.#workers.length > 0)
      await Promise.race([this.pause(), sleep(LAST_WORDS_MS, undefined, { ref: false })]).catch(() => {})
    await Promise.all(this.#workers.splice(0).map((worker) => worker.terminate()))
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  info(): readonly VcpuInfo[] {
    const { i32, u32, layout } = this.#memory
    return Array.from({ length: layout.vcpus }, (_, index) => {
      const word = (n: number) => controlWord(this.#memory, index, n)
      let state = Atomics.load(i32, word(CONTROL_WORD.state))
      // A parked vCPU that was not up before is still not up.
      const before = Atomics.load(i32, word(CONTROL_WORD.stateBeforePark))
      if (state === VCPU_STATE.parked && (before === VCPU_STATE.offline || before === VCPU_STATE.down))
        state = before
      return {
        index,
        state: STATE_NAMES[state] ?? 'offline',
        ranNs: u32[word(CONTROL_WORD.ranNsLow)]! + u32[word(CONTROL_WORD.ranNsHigh)]! * 2 ** 32,
      }
    })
  }

  counters(): readonly Readonly<Record<string, number>>[] {
    const { view, layout } = this.#memory
    return Array.from({ length: layout.vcpus }, (_, vcpu) =>
      readCounters(view, stateBase(this.#memory, vcpu)),
    )
  }
  profile(ms: number): Promise<readonly VcpuProfile[]> {
    this.#profiling ??= this.#profile(ms).finally(() => {
      this.#profiling = undefined
    })
    return this.#profiling
  }
  async #profile(ms: number): Promise<readonly VcpuProfile[]> {
    // One that was parked meanwhile said so late.
    this.#profiles = []
    this.#watch(1)
    await sleep(ms)
    this.#watch(0)
    for (let tries = 0; tries < PROFILE_TRIES && this.#profiles.length < this.#memory.layout.vcpus; tries++)
      await sleep(PROFILE_POLL_MS)
    return Array.from(
      { length: this.#memory.layout.vcpus },
      (_, index) =>
        this.#profiles.find((profile) => profile.index === index) ?? { index, parts: {}, functions: [] },
    )
  }
  #watch(watched: 0 | 1): void {
    Atomics.store(this.#watched, 0, watched)
    requestAllVcpus(this.#memory, VCPU_REQUEST.profile)
  }

  async #until(vcpu: number, wanted: number): Promise<void> {
    const { i32 } = this.#memory
    const index = controlWord(this.#memory, vcpu, CONTROL_WORD.state)
    for (;;) {
      const state = Atomics.load(i32, index)
      if (state === wanted) return
      // A vCPU that is gone never gets there: whoever waits hears of its failure.
      const change = Atomics.waitAsync(i32, index, state, 100)
      await Promise.race([change.value, this.failed])
    }
  }
}

const TRANSLATION = z.enum(TRANSLATION_MODES)
const config = z.strictObject({
  /** Whether hot code is translated; `forced`, all 64-bit code at its first execution, is for tests. The variable XT_TRANSLATION goes before. */
  translation: TRANSLATION.default('normal'),
  /** Taken branches with register hashes go to a file, from a number on and so many of them: docs/debugging.md. `xt create --cpu-trace` sets the file. */
  trace: z
    .strictObject({
      file: z.string().min(1).optional(),
      from: z.int().min(1).default(1),
      count: z.int().min(1).optional(),
    })
    .default({ from: 1 }),
})

export default definePlugin({
  name: 'cpu-software',
  api: 1,
  config,
  provides: ['vcpus'],
  requires: ['guestMemory', 'exits'],
  setup(ctx) {
    return {
      attach: async () => {
        const wanted = TRANSLATION.safeParse(process.env['XT_TRANSLATION'])
        const translation = wanted.success ? wanted.data : ctx.config.translation
        const { file, from, count = Number.POSITIVE_INFINITY } = ctx.config.trace
        const trace = file === undefined ? undefined : { file, from, count }
        if (trace !== undefined) beginTraceFile(trace.file)
        const vcpus = ctx.own(new SoftwareVcpus(ctx.use('guestMemory'), ctx.log, translation, trace))
        await vcpus.launch(ctx.use('exits'), cpuidRules(ctx.vm.config['libxl']))
        ctx.provide('vcpus', vcpus)
      },
    }
  },
})
