/**
 * The file that lets the store restart without loss: lines of JSON, each an array of entries that happen
 * together. Appended before anybody is answered; a line that the death of the process cut short was never
 * answered and is left out. Rewritten as a whole (new file, rename) when it has grown to several times the state.
 *
 * Guards against the death of the process, not of the machine: guests die with the machine, so nothing is fsynced.
 */
import { closeSync, existsSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import type { Entry } from '../xen/xenstore/entries.ts'

const LEAST_REWRITE_BYTES = 1 << 20
const GROWTH = 4

export class Journal {
  readonly #path: string
  #fd: number | undefined
  #bytes = 0
  #rewriteAt = LEAST_REWRITE_BYTES

  constructor(path: string) {
    this.#path = path
  }

  /**
   * Gives every entry on file to `replay`, in order. Stops at the first line that is damaged or that `replay`
   * does not accept, answers what is wrong with it, and keeps the file aside as `journal.damaged`.
   */
  load(replay: (entry: Entry) => boolean): string | undefined {
    if (!existsSync(this.#path)) return undefined
    const lines = readFileSync(this.#path, 'utf8').split('\n')
    lines.pop()
    for (const [index, line] of lines.entries()) {
      const entries = parseLine(line)
      if (entries?.every(replay) === true) continue
      renameSync(this.#path, `${this.#path}.damaged`)
      return `line ${index + 1} of the journal is damaged; state as of the line before`
    }
    return undefined
  }

  /** Writes the whole state as a new file, and appends to that from now on. */
  rewrite(state: Iterable<Entry>): void {
    const fresh = `${this.#path}.new`
    const fd = openSync(fresh, 'w', 0o600)
    let text = ''
    this.#bytes = 0
    for (const entry of state) {
      text += `${JSON.stringify([entry])}\n`
      if (text.length > 65536) {
        this.#bytes += writeAll(fd, text)
        text = ''
      }
    }
    this.#bytes += writeAll(fd, text)
    renameSync(fresh, this.#path)
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = fd
    this.#rewriteAt = Math.max(LEAST_REWRITE_BYTES, GROWTH * this.#bytes)
  }

  /** Appends entries that happened together; on file when this returns. */
  append(entries: readonly Entry[]): void {
    if (this.#fd === undefined) return
    this.#bytes += writeAll(this.#fd, `${JSON.stringify(entries)}\n`)
  }

  /** True when it has grown so much that a rewrite is worth it. */
  get overgrown(): boolean {
    return this.#bytes > this.#rewriteAt
  }
}

function writeAll(fd: number, text: string): number {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
  return bytes.length
}

function parseLine(line: string): Entry[] | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return Array.isArray(value) ? (value as Entry[]) : undefined
  } catch {
    return undefined
  }
}
