/** A program on a real pseudo-terminal, and the screen that a person would see (@xterm/headless). */
import { type IPty, spawn } from '@lydell/node-pty'
import headless from '@xterm/headless'

export class Terminal {
  readonly pty: IPty
  /** All bytes so far. */
  output = ''
  readonly exited: Promise<{ exitCode: number; signal?: number | undefined }>
  readonly #screen = new headless.Terminal({ cols: 100, rows: 30, allowProposedApi: true })
  #waiting: (() => void)[] = []
  #isOver = false

  constructor(file: string, args: string[], env: Record<string, string | undefined>) {
    this.pty = spawn(file, args, { cols: 100, rows: 30, name: 'xterm', env: { ...process.env, ...env } })
    this.exited = new Promise((settle) => this.pty.onExit(settle))
    this.exited.then(() => {
      this.#isOver = true
      this.#wake()
    })
    this.pty.onData((text) => {
      this.output += text
      this.#screen.write(text)
      this.#wake()
    })
  }

  type(text: string): void {
    this.pty.write(text)
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  /** Waits until the output holds a text. Rejects if the program ends without it. */
  async sees(wanted: string | RegExp): Promise<void> {
    const found = () => (typeof wanted === 'string' ? this.output.includes(wanted) : wanted.test(this.output))
    while (!found()) {
      if (this.#isOver) throw new Error(`never seen: ${wanted}\nbut: ${this.output}`)
      await new Promise<void>((settle) => this.#waiting.push(settle))
    }
  }

  /** The lines of the screen, without empty ones at the end. */
  async screen(): Promise<string[]> {
    await new Promise<void>((settle) => this.#screen.write('', settle))
    const { active } = this.#screen.buffer
    const lines = Array.from(
      { length: active.length },
      (_, y) => active.getLine(y)?.translateToString(true) ?? '',
    )
    while (lines.at(-1) === '') lines.pop()
    return lines
  }

  kill(): void {
    this.pty.kill('SIGKILL')
  }
}
