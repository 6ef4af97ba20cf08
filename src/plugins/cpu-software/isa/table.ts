/**
 * The instruction table: every form this CPU knows, one row each, in the manual's notation (row.ts).
 * The decoder, the assembler, the semantics' audit and the instruction pages are made from it.
 */
import { readRow } from './read-row.ts'
import type { Row, RowText } from './row.ts'
import { CONTROL } from './table-control.ts'
import { INTEGER } from './table-integer.ts'
import { SIMD_FLOAT } from './table-simd-float.ts'
import { SIMD_INTEGER } from './table-simd-integer.ts'
import { SYSTEM } from './table-system.ts'
import { X87 } from './table-x87.ts'

const TEXTS: readonly (readonly RowText[])[] = [INTEGER, CONTROL, SYSTEM, X87, SIMD_INTEGER, SIMD_FLOAT]

export const ROWS: readonly Row[] = readAll()

function readAll(): Row[] {
  const rows: Row[] = []
  for (const family of TEXTS) for (const text of family) rows.push(...readRow(text, rows.length))
  return rows
}
