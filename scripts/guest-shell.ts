/** Types commands into the root shell of the demo's initramfs, each when the prompt is there, as a person would. */
import type { Readable, Writable } from 'node:stream'

const PROMPT = /^root@[^\n]*:[^\n]*# /gm

export class GuestShell {
  readonly #input: Writable
  /** What the guest printed so far. */
  output = ''
  #prompts = 0
  #onOutput = () => {}

  constructor(output: Readable, input: Writable) {
    this.#input = input
    // A guest that is gone reads no more; that it went shows at its output.
    input.on('error', () => {})
    output.setEncoding('utf8').on('data', (text: string) => {
      this.output += text
      this.#onOutput()
    })
  }

  /** Resolves when a prompt is there that nothing was typed at yet. */
  async prompt(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onOutput = () => {
      if ((this.output.match(PROMPT)?.length ?? 0) > this.#prompts) resolve()
    }
    this.#onOutput()
    await promise
    this.#prompts++
  }

  /** Types a line at the prompt that is there. */
  type(line: string): void {
    this.#input.write(`${line}\n`)
  }
}
