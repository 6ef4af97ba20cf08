/**
 * Tracing as commands see it (`xt trace`): whoever looks opens a session and fetches batches; tracing is on while there
 * is a session, and a session that fetches nothing for some seconds has ended. Records come out as plain JSON.
 */
import type { Domain } from '../xen/domain.ts'
import { callName, hasSubOps } from '../xen/hypercall/table.ts'
import { TraceReader, type TraceRecord } from '../xen/trace.ts'
import type { TraceAnswer, TraceLine, TraceWish } from './trace-line.ts'

/** How often the rings are emptied. */
const DRAIN_MS = 20
/** A fetch is answered at the latest after this time, with what there is. */
const ANSWER_MS = 200
const ABANDONED_MS = 5000
/** Lines that wait for a session to fetch them; more are dropped. */
const MOST_WAITING = 20_000

interface Session {
  readonly wish: TraceWish
  waiting: TraceLine[]
  dropped: number
  fetchedMs: number
}

export class TraceSessions {
  readonly #reader: TraceReader
  readonly #sessions = new Map<number, Session>()
  #timer: NodeJS.Timeout | undefined
  #nextId = 1

  constructor(domain: Domain) {
    this.#reader = new TraceReader(domain.state)
  }

  open(wish: TraceWish): number {
    const id = this.#nextId++
    this.#sessions.set(id, { wish, waiting: [], dropped: 0, fetchedMs: performance.now() })
    if (this.#timer === undefined) {
      this.#reader.switch(true)
      this.#timer = setInterval(() => this.#drain(), DRAIN_MS).unref()
    }
    return id
  }

  /** What came since the last time; waits a while for something. Null: there is no such session. */
  async fetch(id: number): Promise<TraceAnswer | null> {
    const session = this.#sessions.get(id)
    if (session === undefined) return null
    for (let waited = 0; session.waiting.length === 0 && waited < ANSWER_MS; waited += DRAIN_MS)
      await new Promise((settle) => setTimeout(settle, DRAIN_MS))
    session.fetchedMs = performance.now()
    const { waiting: lines, dropped } = session
    session.waiting = []
    session.dropped = 0
    return { lines, dropped }
  }

  close(id: number): null {
    this.#sessions.delete(id)
    if (this.#sessions.size > 0) return null
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#reader.switch(false)
    return null
  }

  #drain(): void {
    const { records, dropped } = this.#reader.take()
    const lines = records.map(lineOf)
    for (const [id, session] of this.#sessions) {
      if (performance.now() - session.fetchedMs > ABANDONED_MS) {
        this.close(id)
        continue
      }
      session.dropped += dropped
      for (const line of lines) {
        if (!isWanted(session.wish, line)) continue
        if (session.waiting.length < MOST_WAITING) session.waiting.push(line)
        else session.dropped++
      }
    }
  }
}

/** Operations whose argument begins with the port they are about. */
const PORT_OPS = new Set(['EVTCHNOP_send', 'EVTCHNOP_close', 'EVTCHNOP_unmask'])

const isWanted = ({ kinds, device }: TraceWish, line: TraceLine): boolean =>
  (kinds.length === 0 || kinds.includes(line.kind)) && (device === undefined || line.device === device)

function lineOf(record: TraceRecord): TraceLine {
  const { timeMs, source, kind } = record
  switch (record.kind) {
    case 'hypercall': {
      const { nr, args, result, first } = record
      const hex = args.map((arg) => `0x${arg.toString(16)}`)
      const name = callName(nr, args)
      // What names the sub-operation is not said twice.
      const rest = hasSubOps(nr) ? hex.slice(1) : hex
      const said = PORT_OPS.has(name) ? `port ${first}` : rest.join(', ')
      return {
        timeMs,
        kind,
        source,
        text: `${name}(${said}) = ${result}`,
        nr,
        args: hex,
        result: String(result),
      }
    }
    case 'event': {
      const { way, port, device } = record
      const text = `${way}, port ${port}`
      return { timeMs, kind, source, ...(device === '' ? {} : { device }), text, port }
    }
    default:
      return { timeMs, kind, source, device: record.device, text: record.text }
  }
}
