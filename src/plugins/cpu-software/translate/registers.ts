/**
 * Which general registers a region has in locals. The state block is the truth for all others, and for every register
 * where the ways of control meet: there only what all of them have in locals stays so.
 *
 * A register is loaded where it is first used, and stored where ways meet or the region is left: what leaves in the
 * middle stores what was written on the way there, in code that is out of the way of the rest.
 */
import { STATE } from '../state.ts'
import { type Expr, type FunctionWriter, load64 } from '../wasm/encoder.ts'

const COUNT = 16

/** A set of registers is a word with a bit for each. */
export interface RegistersHeld {
  /** The local has the value. */
  readonly valid: number
  /** The state block does not. */
  readonly dirty: number
}

export class RegionRegisters {
  readonly #f: FunctionWriter
  readonly #state: Expr
  readonly #locals: readonly number[]
  #valid = 0
  #dirty = 0
  /** Pieces of code being written whose loads come before them, the innermost last. */
  readonly #pieces: { wanted: number; readonly isConditional: boolean }[] = []

  constructor(f: FunctionWriter, state: Expr) {
    this.#f = f
    this.#state = state
    this.#locals = Array.from({ length: COUNT }, () => f.local('i64'))
  }

  get held(): RegistersHeld {
    return { valid: this.#valid, dirty: this.#dirty }
  }
  set held({ valid, dirty }: RegistersHeld) {
    this.#valid = valid
    this.#dirty = dirty
  }

  /** The local of a register, with its value. */
  read(n: number): number {
    const bit = 1 << n
    if ((this.#valid & bit) === 0) {
      const piece = this.#pieces.at(-1)
      if (piece === undefined) this.#load(n)
      else piece.wanted |= bit
      this.#valid |= bit
    }
    return this.#locals[n]!
  }
  /** The local of a register that is about to be written as a whole. */
  overwrite(n: number): number {
    // Where the write is not sure to happen, the local must have had a value before.
    if (this.#pieces.at(-1)?.isConditional === true) this.read(n)
    this.#valid |= 1 << n
    this.#dirty |= 1 << n
    return this.#locals[n]!
  }
  /** The same of one that is written in part. */
  update(n: number): number {
    this.read(n)
    return this.overwrite(n)
  }
  #load(n: number): void {
    this.#f.set(this.#locals[n]!, load64(8, this.#state, STATE.gpr + n * 8))
  }

  /** Writes a piece of code that is run any number of times (a loop) or not at all (a condition); what it uses is loaded before it. */
  piece(isConditional: boolean, write: () => void): void {
    const piece = { wanted: 0, isConditional }
    this.#pieces.push(piece)
    const code = this.#f.detour(write)
    this.#pieces.pop()
    const outer = this.#pieces.at(-1)
    if (outer !== undefined) outer.wanted |= piece.wanted
    else for (let n = 0; n < COUNT; n++) if (piece.wanted & (1 << n)) this.#load(n)
    this.#f.append(code)
  }

  /** Stores what the state block does not have. Of what is held nothing changes: this way ends here. */
  store(): void {
    for (let n = 0; n < COUNT; n++)
      if (this.#dirty & (1 << n))
        this.#f.store64(8, this.#state, this.#f.get(this.#locals[n]!, 'i64'), STATE.gpr + n * 8)
  }
}
