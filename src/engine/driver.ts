/**
 * Makes the lifecycle calls of plugins: in which order, how many at once, how long they may take, and whose fault
 * a failure is (docs/lifecycle.md). Time comes from the clock it is given.
 */
import { XtError } from '../base/errors.ts'
import { attribute, type PluginState, placeOf } from './context.ts'
import { errors } from './errors.ts'
import { type PluginGraph, phases, type Rank } from './graph.ts'
import type { Call, Lifecycle } from './plugin.ts'

export type CallName = keyof Lifecycle

/**
 * independents  at once, but after the same call of the plugins it depends on
 * everybody     at once
 * in order      one after the other
 * reversed      one after the other, from the last to the first
 */
type Manner = 'independents' | 'everybody' | 'in order' | 'reversed'

/** How each call is made. `despite`: everybody is called even after a failure; else nothing new begins after one. */
export const CALLS: Readonly<Record<CallName, { readonly manner: Manner; readonly despite: boolean }>> = {
  attach: { manner: 'independents', despite: false },
  start: { manner: 'independents', despite: false },
  pause: { manner: 'everybody', despite: true },
  resume: { manner: 'in order', despite: false },
  reset: { manner: 'in order', despite: false },
  stop: { manner: 'reversed', despite: true },
}

export interface DriverClock {
  /** Runs something after a time; the answer cancels it. */
  after(ms: number, run: () => void): () => void
}

export interface DriverOptions {
  readonly clock: DriverClock
  /** Gets "waiting for vbd attach (xvda)" when a call takes long. */
  readonly notice: (line: string) => void
  readonly noticeMs?: number
  /** A call that takes longer has failed. */
  readonly limitMs?: number
}

export interface Member extends Pick<PluginState, 'activity' | 'owned'> {
  readonly name: string
  readonly lifecycle: Lifecycle
}

const NOTICE_MS = 3000
const LIMIT_MS = 60_000

export class PluginDriver {
  readonly #members: ReadonlyMap<string, Member>
  readonly #graph: PluginGraph
  readonly #options: DriverOptions
  readonly #open = new Set<() => string>()
  /** Plugins whose attach was begun: they get stop. */
  readonly #attached = new Set<string>()

  constructor(members: readonly Member[], graph: PluginGraph, options: DriverOptions) {
    this.#members = new Map(members.map((member) => [member.name, member]))
    this.#graph = graph
    this.#options = options
  }

  /** The calls that have not ended, "vbd attach (xvda)". */
  openCalls(): readonly string[] {
    return [...this.#open].map((place) => place())
  }

  /**
   * Makes one call on every plugin that has it and answers what failed, in the order of failing, when all that were
   * begun have ended or used up their time. `stop` goes to those only whose attach was begun, and only once.
   */
  async call(call: CallName): Promise<readonly XtError[]> {
    const { manner, despite } = CALLS[call]
    const failures: XtError[] = []
    const runs = new Map<string, Promise<void>>()
    for (const name of this.#sequence(call)) {
      const turn = Promise.all(this.#before(name, call, [...runs.keys()]).map((other) => runs.get(other)))
      const run = turn.then(async () => {
        if (failures.length > 0 && !despite) return
        if (call === 'attach') this.#attached.add(name)
        if (call === 'stop' && !this.#attached.delete(name)) return
        const member = this.#members.get(name)!
        const failure = await this.#invoke(member, call, member.lifecycle[call])
        if (failure !== undefined) failures.push(failure)
      })
      runs.set(name, run)
      if (manner === 'in order' || manner === 'reversed') await run
    }
    await Promise.all(runs.values())
    return failures
  }

  /** Disposes what the plugins own, last plugin first; every failure is collected. */
  async dispose(): Promise<readonly XtError[]> {
    const failures: XtError[] = []
    for (const name of [...this.#graph.order].reverse()) {
      const member = this.#members.get(name)
      if (member === undefined || member.owned.size === 0) continue
      const failure = await this.#invoke(member, 'dispose', () => member.owned.dispose())
      if (failure !== undefined) failures.push(failure)
    }
    return failures
  }

  #sequence(call: CallName): readonly string[] {
    const order = this.#phases(call)
      .flat()
      .filter((name) => this.#members.has(name))
    return CALLS[call].manner === 'reversed' ? order.reverse() : order
  }

  #phases(call: CallName): readonly (readonly string[])[] {
    // Reversed at the end, so a 'pre' call must stand last here.
    const sign = CALLS[call].manner === 'reversed' ? -1 : 1
    return phases(this.#graph, (name) => (sign * rankOf(this.#members.get(name)?.lifecycle[call])) as Rank)
  }

  /** Of those already begun, the plugins that must have ended before this one may begin. */
  #before(name: string, call: CallName, begun: readonly string[]): readonly string[] {
    const { manner } = CALLS[call]
    if (manner === 'in order' || manner === 'reversed') return begun
    const groups = this.#phases(call)
    const own = groups.findIndex((group) => group.includes(name))
    const earlier = begun.filter((other) => groups.findIndex((group) => group.includes(other)) < own)
    if (manner === 'everybody') return earlier
    const dependencies = this.#graph.dependencies.get(name) ?? []
    return begun.filter((other) => earlier.includes(other) || dependencies.includes(other))
  }

  /** Runs one plugin's code; answers the failure, attributed. Never throws. */
  async #invoke(member: Member, call: string, code: Call | undefined): Promise<XtError | undefined> {
    if (code === undefined) return undefined
    const { clock, notice, noticeMs = NOTICE_MS, limitMs = LIMIT_MS } = this.#options
    const place = () => placeOf(member.name, call, member.activity.devices)
    this.#open.add(place)
    const cancelNotice = clock.after(noticeMs, () => notice(`waiting for ${place()}`))
    let cancelLimit = () => {}
    const limit = new Promise<XtError>((settle) => {
      cancelLimit = clock.after(limitMs, () => settle(this.#stuck(member, call, limitMs)))
    })
    const work = (async () => (typeof code === 'function' ? code() : code.run()))().then(
      () => undefined,
      (error: unknown) => attribute(error, member.name, call, member.activity.deviceOf(error)),
    )
    // A call that used up its time stays in the list of open ones until it really ends.
    const ended = work.finally(() => this.#open.delete(place))
    try {
      return await Promise.race([ended, limit])
    } finally {
      cancelNotice()
      cancelLimit()
    }
  }

  #stuck(member: Member, call: string, limitMs: number): XtError {
    const { devices } = member.activity
    const made = errors.XT_PLUGIN_CALL_STUCK(placeOf(member.name, call, devices), limitMs / 1000)
    const device = devices[0] === undefined ? {} : { device: devices[0] }
    return new XtError(made.code, made.message, { blame: { plugin: member.name, call, ...device } })
  }
}

function rankOf(call: Call | undefined): Rank {
  if (call === undefined || typeof call === 'function') return 0
  return call.order === 'pre' ? -1 : 1
}
