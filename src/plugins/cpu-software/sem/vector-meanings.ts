/**
 * MMX and SSE instructions that move, shuffle, compare and calculate with integers (SDM vol. 2), as rows of the
 * table: each is a function from its operands to its result in WebAssembly's vector operators.
 *
 * Floating-point arithmetic has its common way here (vector-float.ts) and an assist for all else (fp/assists.ts).
 */
import type { Row } from '../isa/row.ts'
import { ROWS } from '../isa/table.ts'
import type { EmitVector } from '../read/emit-vector.ts'
import type { Access } from '../read/vocabulary.ts'
import { arithmeticOf } from './vector-arithmetic.ts'
import { floatOf } from './vector-float.ts'
import { moveOf } from './vector-move.ts'
import { shuffleOf } from './vector-shuffle.ts'

export type VectorRun = (s: EmitVector) => void
export interface VectorMeaning {
  readonly row: Row
  readonly access: readonly Access[]
  readonly run: VectorRun
  /** `run` may leave the instruction to its assist. */
  readonly assisted: boolean
}

/** By form; forms with the same text are the same instruction. */
export const VECTOR_MEANINGS: Readonly<Record<string, VectorMeaning>> = all()

function all(): Record<string, VectorMeaning> {
  const found: Record<string, VectorMeaning> = {}
  for (const row of ROWS) {
    const whole = moveOf(row) ?? arithmeticOf(row) ?? shuffleOf(row)
    const run = whole ?? floatOf(row)
    if (run === undefined) continue
    found[row.form] = {
      row,
      access: row.operands.map((o, n) => (n === 0 && o.access !== 'r' ? 'w' : 'r')),
      run,
      assisted: whole === undefined,
    }
  }
  return found
}

/** Key of a row in VECTOR_MEANINGS, undefined when it has none. */
export function vectorKey(row: Row): string | undefined {
  return row.form in VECTOR_MEANINGS ? row.form : undefined
}
