/**
 * Notices when guest memory changes that was not granted: a copy of what each guarded page must hold. Pages that
 * nobody was given hold a pattern.
 */
import { type MachineMemory, PAGE_SIZE } from '../base/machine-memory.ts'

const WORDS = PAGE_SIZE / 4

export class GuestMemoryGuard {
  readonly #ram: Int32Array<SharedArrayBuffer>
  readonly #expected: Int32Array<ArrayBuffer>
  /** Per frame: 1 is guarded. */
  readonly #guarded: Uint8Array
  readonly frames: number

  constructor(memory: MachineMemory) {
    this.frames = memory.ramBytes / PAGE_SIZE
    this.#ram = new Int32Array(memory.buffer, memory.layout.ram, memory.ramBytes / 4)
    this.#expected = new Int32Array(this.#ram.length)
    this.#guarded = new Uint8Array(this.frames)
    this.reset()
  }

  /** Every page holds the pattern and is guarded. */
  reset(): void {
    for (let i = 0; i < this.#ram.length; i++) this.#expected[i] = Math.imul(i + 1, 0x9e3779b1)
    this.#ram.set(this.#expected)
    this.#guarded.fill(1)
  }

  /** From now on anybody may change the page. */
  release(gfn: number): void {
    if (gfn < this.frames) this.#guarded[gfn] = 0
  }

  /** From now on the page stays as it is. */
  seal(gfn: number): void {
    if (gfn >= this.frames) return
    const at = gfn * WORDS
    this.#expected.set(this.#ram.subarray(at, at + WORDS), at)
    this.#guarded[gfn] = 1
  }

  /** Guarded frames that have changed since the last call; what they hold now is expected from then on. */
  changed(): number[] {
    const found: number[] = []
    const ram = this.#ram
    const expected = this.#expected
    for (let gfn = 0; gfn < this.frames; gfn++) {
      if (this.#guarded[gfn] === 0) continue
      const end = (gfn + 1) * WORDS
      for (let i = gfn * WORDS; i < end; i++) {
        if (ram[i] === expected[i]) continue
        found.push(gfn)
        this.seal(gfn)
        break
      }
    }
    return found
  }
}
