/**
 * A console's log file: one more reader of the scroll-back, which writes to a file.
 *
 * When the file reaches its limit it becomes FILE.1 and a new one is begun, so that a guest can fill at most
 * twice the limit of the host's disk. A disk slower than the guest leaves a mark where bytes are missing.
 */
import { type FileHandle, open, rename } from 'node:fs/promises'
import type { Log } from '../../base/log.ts'
import { consoleErrors } from './errors.ts'
import type { Scrollback } from './scrollback.ts'

const CHUNK = 65536

export class ConsoleLog {
  readonly #path: string
  readonly #limit: number
  readonly #scrollback: Scrollback
  readonly #log: Log
  #file: FileHandle | undefined
  #size = 0
  #position: number
  #writing: Promise<void> | undefined

  /** `limit`: bytes after which a new file is begun. */
  constructor(path: string, limit: number, scrollback: Scrollback, log: Log) {
    this.#path = path
    this.#limit = limit
    this.#scrollback = scrollback
    this.#log = log
    this.#position = scrollback.end
  }

  async open(): Promise<void> {
    try {
      this.#file = await open(this.#path, 'a', 0o600)
      this.#size = (await this.#file.stat()).size
    } catch (error) {
      throw consoleErrors.XT_CONSOLE_LOG(this.#path, reason(error))
    }
  }

  /** The scroll-back has grown. */
  outputArrived(): void {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined
    })
  }

  async #write(): Promise<void> {
    try {
      for (;;) {
        const { skipped, bytes, next } = this.#scrollback.read(this.#position, CHUNK)
        if (bytes.length === 0 || this.#file === undefined) return
        this.#position = next
        if (skipped > 0) await this.#append(Buffer.from(`\n[xt: ${skipped} bytes missing]\n`))
        await this.#append(bytes)
      }
    } catch (error) {
      // The guest runs on without its log: a full disk of the host is no reason to stop it.
      this.#log.warn(consoleErrors.XT_CONSOLE_LOG(this.#path, reason(error)).message)
      await this.#file?.close().catch(() => undefined)
      this.#file = undefined
    }
  }

  async #append(bytes: Uint8Array): Promise<void> {
    await this.#file?.appendFile(bytes)
    this.#size += bytes.length
    if (this.#size < this.#limit) return
    await this.#file?.close()
    await rename(this.#path, `${this.#path}.1`)
    this.#file = await open(this.#path, 'a', 0o600)
    this.#size = 0
  }

  /** Writes what is left, then closes the file. */
  async close(): Promise<void> {
    await this.#writing
    await this.#write()
    await this.#file?.close()
    this.#file = undefined
  }
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error))
