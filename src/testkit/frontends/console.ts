/** A console's frontend (io/console.h): one page with two streams of bytes, as hvc_xen has it. */

import { BytePipe, CONSOLE_RING } from '../../xen/ring/byte-ring.ts'
import type { Random } from '../random.ts'
import type { ScriptedGuest } from '../scripted-guest.ts'
import { until } from '../wait.ts'
import type { FrontendScript, ScriptedFrontend } from './frontend.ts'

/** in_cons, in_prod, out_cons, out_prod. */
const INDICES = [0xc00, 0xc04, 0xc08, 0xc0c]

export interface ConsoleScriptOptions {
  /** What has reached the host side so far. */
  printed(): string
  /** Types on the host side. */
  type(bytes: Uint8Array): void
}

export const consoleScript = (options: ConsoleScriptOptions): FrontendScript => ({
  name: 'console',
  open: (guest) => new ConsoleFrontend(guest, options),
})

class ConsoleFrontend implements ScriptedFrontend {
  readonly nodes
  readonly ports
  readonly words
  readonly ringFrames
  readonly #guest: ScriptedGuest
  readonly #options: ConsoleScriptOptions
  readonly #pipe: BytePipe
  #said = 0

  constructor(guest: ScriptedGuest, options: ConsoleScriptOptions) {
    this.#guest = guest
    this.#options = options
    const [gfn] = guest.allocate(1)
    const page = guest.bytes(gfn!)
    const port = guest.allocatePort()
    this.ports = [port]
    this.ringFrames = [gfn!]
    this.words = INDICES.map((offset) => [gfn!, offset] as const)
    this.#pipe = new BytePipe(guest.domain.memory, page.byteOffset, CONSOLE_RING, 'frontend')
    this.nodes = { 'ring-ref': String(guest.grant(gfn!)), port: String(port) }
  }

  async exchange(): Promise<void> {
    const line = `line ${++this.#said} of ${this.ports[0]}\n`
    await this.#print(new TextEncoder().encode(line))
    await until('what the guest printed', () => this.#options.printed().includes(line))
    this.#options.type(new TextEncoder().encode('typed'))
    const got = new Uint8Array(64)
    let count = 0
    await until('what was typed', () => {
      count = this.#pipe.read(got)
      return count > 0
    })
    this.#notify()
    const text = new TextDecoder().decode(got.subarray(0, count))
    if (text !== 'typed') throw new Error(`"typed" was typed and "${text}" arrived`)
  }

  async #print(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0; ) {
      await until('room in the console ring', () => this.#pipe.writable() > 0)
      rest = rest.subarray(Math.max(0, this.#pipe.write(rest)))
      this.#notify()
    }
  }

  hostile(random: Random): boolean {
    if (random.once(4)) this.#pipe.read(new Uint8Array(random.below(2000)))
    return this.#pipe.write(random.bytes(1 + random.below(64))) > 0
  }

  #notify(): void {
    for (const port of this.ports) this.#guest.notify(port)
  }
}
