/** Bytes that lie one after the other for the guest and in separate pages of shared memory for us. */

const PAGE_BYTES = 4096

export class SharedPages {
  readonly pages: readonly Uint8Array<SharedArrayBuffer>[]
  readonly size: number
  readonly #i32: Int32Array<SharedArrayBuffer>

  /** Pages of 4096 bytes each, 4-byte aligned, all of one buffer, as `Mapping.pages` gives them. At least one. */
  constructor(pages: readonly Uint8Array<SharedArrayBuffer>[]) {
    this.pages = pages
    this.size = pages.length * PAGE_BYTES
    this.#i32 = new Int32Array(pages[0]!.buffer)
  }

  /** An index word of the first page. */
  load(offset: number): number {
    return Atomics.load(this.#i32, (this.pages[0]!.byteOffset + offset) / 4)
  }
  store(offset: number, value: number): void {
    Atomics.store(this.#i32, (this.pages[0]!.byteOffset + offset) / 4, value)
  }

  /** Copies out. */
  read(offset: number, into: Uint8Array): void {
    this.#eachPart(offset, into.length, (page, at, done, count) =>
      into.set(page.subarray(at, at + count), done),
    )
  }
  /** Copies in. */
  write(offset: number, bytes: Uint8Array): void {
    this.#eachPart(offset, bytes.length, (page, at, done, count) =>
      page.set(bytes.subarray(done, done + count), at),
    )
  }

  #eachPart(
    offset: number,
    length: number,
    move: (page: Uint8Array, at: number, done: number, count: number) => void,
  ): void {
    for (let done = 0; done < length; ) {
      const at = (offset + done) % PAGE_BYTES
      const count = Math.min(length - done, PAGE_BYTES - at)
      move(this.pages[Math.floor((offset + done) / PAGE_BYTES)]!, at, done, count)
      done += count
    }
  }
}
