/** The guest's side, in the words of the kit: what the contract needs to know of the protocol. */
import type { Gref, Port } from 'xt/plugin'
import {
  type FrontendScript,
  type Random,
  type ScriptedFrontend,
  type ScriptedGuest,
  until,
} from 'xt/testkit'
import { FrontRing } from 'xt/xen'
import { hello_request, hello_response, PAGE_BYTES, RING } from '../src/protocol.ts'

class HelloFrontend implements ScriptedFrontend {
  readonly nodes
  readonly ports: readonly Port[]
  readonly words
  readonly ringFrames
  readonly #guest: ScriptedGuest
  readonly #ring: FrontRing
  readonly #page: Uint8Array
  readonly #ref: Gref
  readonly #greeting: string
  readonly #statuses = new Map<number, number>()
  #id = 0

  constructor(guest: ScriptedGuest, greeting: string) {
    const [ring, page] = guest.allocate(2) as [number, number]
    this.#guest = guest
    this.#greeting = greeting
    this.#ring = new FrontRing([guest.bytes(ring)], RING)
    this.#page = guest.bytes(page)
    this.#ref = guest.grant(page)
    this.ports = [guest.allocatePort()]
    this.ringFrames = [ring]
    // req_prod, req_event, rsp_prod, rsp_event
    this.words = [0, 4, 8, 12].map((offset) => [ring, offset] as const)
    this.nodes = { 'ring-ref': String(guest.grant(ring)), 'event-channel': String(this.ports[0]) }
  }

  async exchange(): Promise<void> {
    this.#page.fill(0)
    const status = await this.#ask(this.#ref, PAGE_BYTES)
    const text = new TextDecoder().decode(this.#page.subarray(0, Math.max(status, 0)))
    if (text !== this.#greeting) throw new Error(`the greeting is "${text}"`)
    const refused = await this.#ask(this.#ref, PAGE_BYTES + 1)
    if (refused >= 0) throw new Error('more room than a page has was believed')
  }

  begin() {
    const ids = [1, 2, 3].map(() => this.#put(this.#ref, PAGE_BYTES))
    this.#notify()
    return {
      answered: async () => {
        for (const id of ids) await this.#answer(id)
      },
    }
  }

  hostile(random: Random): boolean {
    this.#take()
    if (this.#ring.free() === 0) return false
    this.#put(random.once(2) ? random.edge() : this.#ref, random.once(2) ? random.edge() : PAGE_BYTES)
    return true
  }

  #ask(ref: number, room: number): Promise<number> {
    const id = this.#put(ref, room)
    this.#notify()
    return this.#answer(id)
  }

  #put(gref: number, room: number): number {
    const id = ++this.#id
    this.#ring.putRequest(hello_request.x64.bytes({ id, gref, room }))
    this.#ring.pushRequests()
    return id
  }

  async #answer(id: number): Promise<number> {
    await until(`the answer to ${id}`, () => {
      this.#take()
      return this.#statuses.has(id)
    })
    return this.#statuses.get(id)!
  }

  #take(): void {
    // No more than the ring holds: its indices may be wrong, by this test's own doing.
    for (let n = 0; n < this.#ring.size; n++) {
      const response = this.#ring.takeResponse()
      if (response === undefined) return
      const { id, status } = hello_response.x64.copy(response)
      this.#statuses.set(id, status)
    }
  }

  #notify(): void {
    for (const port of this.ports) this.#guest.notify(port)
  }
}

export const helloScript = (greeting: string): FrontendScript => ({
  name: 'hello',
  backendNodes: { 'max-length': 'number' },
  open: (guest) => new HelloFrontend(guest, greeting),
})
