/**
 * A device for tests of the kit itself: a ring whose requests name a granted page and a length, to be filled with a
 * letter. `mistake` makes its backend wrong in one way; the contract must find each.
 */
import { z } from 'zod'
import { gref, port } from '../../src/base/brand.ts'
import { XtError } from '../../src/base/errors.ts'
import type { Backend, BackendDriver } from '../../src/engine/plugin.ts'
import type { FrontendScript, MakeBackend, ScriptedGuest } from '../../src/testkit/index.ts'
import { turns, until } from '../../src/testkit/index.ts'
import { BackRing, type Channel, FrontRing, type Mapping, struct, u32 } from '../../src/xen/index.ts'
import type { XenHost } from '../../src/xen/xenhost.ts'

const LETTER = 0x65
const PAGE = 4096

const echo_request = struct('echo_request', '', { id: u32(), ref: u32(), length: u32() })
const echo_response = struct('echo_response', '', { id: u32(), good: u32() })
const SHAPE = { entryBytes: echo_request.size }

export const MISTAKES = [
  'keeps its ring mapped after closing',
  'keeps its port after closing',
  'fills as many bytes as it is told to',
  'throws at a page that is not granted',
  'gives a page back only if all went well',
  'writes its own state',
  'writes a node that nobody knows',
  'publishes a number that is none',
  'throws a TypeError at a node that is missing',
  'throws when it is closed',
  'serves the old ring after a new connection',
  'answers later than it says when it is paused',
  'forgets a request that is under way when it is paused',
  'publishes other nodes after a reset',
] as const
export type Mistake = (typeof MISTAKES)[number]

class EchoBackend implements Backend {
  readonly #xenhost: XenHost
  readonly #path: string
  readonly #front: string
  readonly #otherend: Parameters<BackendDriver<object>['create']>[2]
  readonly #has: (mistake: Mistake) => boolean
  #connection: { ring: BackRing; mapping: Mapping; channel: Channel } | undefined
  #published = 0
  paused = false

  constructor(
    xenhost: XenHost,
    otherend: Parameters<BackendDriver<object>['create']>[2],
    has: (mistake: Mistake) => boolean,
  ) {
    this.#xenhost = xenhost
    this.#otherend = otherend
    this.#front = otherend.frontendPath
    this.#path = `/local/domain/0/backend/echo/${otherend.domid}/0`
    this.#has = has
  }

  nodes(): Record<string, string> {
    const changes = this.#has('publishes other nodes after a reset') && this.#published++ > 0
    const wrong = this.#has('publishes a number that is none')
    return { 'max-length': wrong ? 'long' : changes ? '1' : String(PAGE) }
  }

  async connect(): Promise<void> {
    const { domid } = this.#otherend
    const { gnttab, evtchn, xenstore } = this.#xenhost
    const ref = gref(await this.#number('ring-ref'))
    const remote = port(await this.#number('event-channel'))
    if (this.#has('writes its own state')) await xenstore.write(`${this.#path}/state`, '4')
    if (this.#has('writes a node that nobody knows')) await xenstore.write(`${this.#path}/secret`, '1')
    const mapping = gnttab.map(domid, [ref], 'rw')
    try {
      const ring = new BackRing(mapping.pages, SHAPE)
      const channel = evtchn.bindInterdomain(domid, remote, () => this.#service(ring))
      this.#connection = { ring, mapping, channel }
    } catch (error) {
      mapping[Symbol.dispose]()
      throw error
    }
    this.#service(this.#connection.ring)
  }

  async #number(node: string): Promise<number> {
    const text = await this.#xenhost.xenstore.read(`${this.#front}/${node}`)
    if (/^[0-9]{1,10}$/.test(text)) return Number(text)
    if (this.#has('throws a TypeError at a node that is missing')) throw new TypeError(`${node} is ${text}`)
    throw new XtError('XT_ECHO_NODE', `${node} is "${text}"`)
  }

  #service(ring: BackRing): void {
    if (this.#connection === undefined && !this.#has('serves the old ring after a new connection')) return
    do {
      for (let entry = ring.takeRequest(); entry !== undefined; entry = ring.takeRequest()) {
        const { id, ref, length } = echo_request.x64.copy(entry)
        if (this.#has('forgets a request that is under way when it is paused') && id % 7 === 3) continue
        if (this.#has('answers later than it says when it is paused'))
          void turns(20).then(() => this.#answer(ring, id, ref, length))
        else this.#answer(ring, id, ref, length)
      }
    } while (ring.finalCheck())
  }

  #answer(ring: BackRing, id: number, ref: number, length: number): void {
    const good = this.#fill(ref, length) ? 1 : 0
    ring.putResponse(echo_response.x64.bytes({ id, good }))
    if (ring.pushResponses()) this.#connection?.channel.notify()
  }

  #fill(ref: number, length: number): boolean {
    const far = this.#has('fills as many bytes as it is told to')
    if (length > PAGE && !far) return false
    let mapping: Mapping
    try {
      mapping = this.#xenhost.gnttab.map(this.#otherend.domid, [gref(ref)], 'rw')
    } catch (error) {
      if (this.#has('throws at a page that is not granted')) throw error
      return false
    }
    const page = mapping.pages[0]!
    new Uint8Array(page.buffer, page.byteOffset, Math.min(length, 3 * PAGE)).fill(LETTER)
    if (length !== 1 || !this.#has('gives a page back only if all went well')) mapping[Symbol.dispose]()
    return true
  }

  async disconnect(): Promise<void> {
    const connection = this.#connection
    if (!this.#has('serves the old ring after a new connection')) {
      this.#connection = undefined
      if (!this.#has('keeps its port after closing')) connection?.channel[Symbol.dispose]()
      if (!this.#has('keeps its ring mapped after closing')) connection?.mapping[Symbol.dispose]()
    }
    if (connection !== undefined && this.#has('throws when it is closed')) throw new Error('closed')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disconnect()
  }
}

class EchoFrontend {
  readonly nodes: Readonly<Record<string, string>>
  readonly ports
  readonly words
  readonly ringFrames
  readonly #guest: ScriptedGuest
  readonly #ring: FrontRing
  readonly #data
  readonly #ref
  readonly #limitMs: number
  #id = 0

  constructor(guest: ScriptedGuest, limitMs: number) {
    this.#guest = guest
    this.#limitMs = limitMs
    const [ring, data] = guest.allocate(2)
    this.ringFrames = [ring!]
    this.words = [0, 4, 8, 12].map((offset) => [ring!, offset] as const)
    this.#ring = new FrontRing([guest.bytes(ring!)], SHAPE)
    this.#data = data!
    this.#ref = guest.grant(data!)
    this.ports = [guest.allocatePort()]
    this.nodes = { 'ring-ref': String(guest.grant(ring!)), 'event-channel': String(this.ports[0]) }
  }

  async exchange(): Promise<void> {
    this.#guest.bytes(this.#data).fill(0)
    await this.#ask(this.#ref, 100).answered()
    const page = this.#guest.bytes(this.#data)
    if (page.indexOf(0) !== 100) throw new Error('not 100 bytes were filled')
  }

  begin() {
    return this.#ask(this.#ref, 8)
  }

  #ask(ref: number, length: number) {
    const id = ++this.#id
    this.#ring.putRequest(echo_request.x64.bytes({ id, ref, length }))
    if (this.#ring.pushRequests()) for (const each of this.ports) this.#guest.notify(each)
    const answered = () =>
      until(
        `echo ${id}`,
        () => {
          for (let n = 0; n < this.#ring.size; n++) {
            const view = this.#ring.takeResponse()
            if (view === undefined) return false
            if (echo_response.x64.copy(view).id === id) return true
          }
          return false
        },
        this.#limitMs,
      )
    return { answered }
  }

  hostile(random: { below(end: number): number; once(times: number): boolean; edge(): number }): boolean {
    this.#ring.takeResponse()
    const ref = random.once(3) ? random.edge() : this.#ref
    const length = random.once(2) ? random.edge() : random.below(PAGE)
    const put = this.#ring.putRequest(echo_request.x64.bytes({ id: ++this.#id, ref, length }))
    if (put) this.#ring.pushRequests()
    return put
  }
}

const script = (limitMs: number): FrontendScript => ({
  name: 'echo',
  backendNodes: { 'max-length': 'number' },
  open: (guest) => new EchoFrontend(guest, limitMs),
})

export const makeEcho =
  (mistake?: Mistake): MakeBackend<object> =>
  () => ({
    driver: {
      type: 'echo',
      device: z.strictObject({}),
      connectOn: 'Initialised',
      create: (xenhost, _device, otherend) => new EchoBackend(xenhost, otherend, (each) => each === mistake),
    },
    device: {},
    place: { id: 0 },
    // What a mistake keeps from coming need not be waited for long.
    script: script(mistake === undefined || mistake.startsWith('fills') ? 30_000 : 500),
    pause: async () => {},
  })
