/** Speaks to a Xenstore in memory, packet by packet, as one connection. */
import type { Connection } from '../../../src/xen/xenstore/connection.ts'
import type { Entry } from '../../../src/xen/xenstore/entries.ts'
import { latin1, latin1Bytes, PacketReader, XS } from '../../../src/xen/xenstore/wire.ts'
import { Xenstore } from '../../../src/xen/xenstore/xenstore.ts'

export interface TestXenstore {
  readonly xenstore: Xenstore
  /** Everything that was recorded, one array per request. */
  readonly journal: Entry[][]
  readonly logged: string[]
}

export function testXenstore(): TestXenstore {
  const journal: Entry[][] = []
  const logged: string[] = []
  const host = {
    record: (entries: readonly Entry[]) => void journal.push([...entries]),
    log: (m: string) => void logged.push(m),
  }
  const xenstore = new Xenstore(host)
  xenstore.populate()
  return { xenstore, journal, logged }
}

/** A store that was made from what the other one recorded, as after a restart. */
export function restarted(from: TestXenstore): TestXenstore {
  const journal: Entry[][] = []
  const xenstore = new Xenstore({ record: (entries) => void journal.push([...entries]), log: () => {} })
  for (const entry of structuredClone(from.journal).flat()) {
    if (!xenstore.replay(entry)) throw new Error(`not replayed: ${JSON.stringify(entry)}`)
  }
  return { xenstore, journal, logged: [] }
}

export class WireClient {
  readonly connection: Connection
  readonly #xenstore: Xenstore
  readonly #reader = new PacketReader()
  #reqId = 0
  /** Events in the order in which they came, as `path token`. */
  events: string[] = []

  constructor(xenstore: Xenstore, connection: Connection | string) {
    if (typeof connection === 'string') throw new Error(connection)
    this.#xenstore = xenstore
    this.connection = connection
  }

  static dom0({ xenstore }: TestXenstore): WireClient {
    return new WireClient(xenstore, xenstore.connectTool())
  }

  /** The ring of a domain, introduced if it is not. */
  static guest({ xenstore }: TestXenstore, domid: number, resume = false): WireClient {
    return new WireClient(xenstore, xenstore.connectGuest(domid, { resume, introduce: { gfn: 1, port: 1 } }))
  }

  /** Sends strings, each ended by a NUL; answers the payload, or what the ERROR packet says. */
  ask(name: keyof typeof XS | number, words: readonly string[], tx = 0): string {
    return this.send(name, words.map((word) => `${word}\0`).join(''), tx)
  }

  /** Sends a payload as it is. */
  send(name: keyof typeof XS | number, payload: string, tx = 0): string {
    const type = typeof name === 'number' ? name : XS[name]
    const reqId = ++this.#reqId
    this.#xenstore.handle(this.connection, { type, reqId, txId: tx, payload: latin1Bytes(payload) })
    const answer = this.#drain().find((packet) => packet.reqId === reqId)
    if (answer === undefined) throw new Error(`no answer to ${name}`)
    if (answer.type !== type && answer.type !== XS.ERROR)
      throw new Error(`answer of type ${answer.type} to ${type}`)
    return latin1(answer.payload).replace(/\0$/, '')
  }

  write(path: string, value: string, tx = 0): string {
    return this.send('WRITE', `${path}\0${value}`, tx)
  }

  read(path: string, tx = 0): string {
    return this.ask('READ', [path], tx)
  }

  begin(): number {
    return Number(this.ask('TRANSACTION_START', ['']))
  }

  end(tx: number, word = 'T'): string {
    return this.ask('TRANSACTION_END', [word], tx)
  }

  /** The events since the last call. */
  told(): string[] {
    this.#drain()
    return this.events.splice(0)
  }

  #drain() {
    const answers = []
    for (let bytes = this.connection.take(); bytes !== undefined; bytes = this.connection.take()) {
      for (const packet of this.#reader.push(bytes)) {
        if (packet.type === XS.WATCH_EVENT)
          this.events.push(latin1(packet.payload).split('\0').join(' ').trimEnd())
        else answers.push(packet)
      }
    }
    return answers
  }
}
