/** MMX and SSE instructions that are written in WebAssembly's vector operators. */
import type { Row } from '../isa/row.ts'
import type { Access } from '../read/vocabulary.ts'

export interface VectorMeaning {
  readonly access: readonly Access[]
}
export const VECTOR_MEANINGS: Readonly<Record<string, VectorMeaning>> = {}

/** Key of a row in VECTOR_MEANINGS, undefined when it has none. */
export function vectorKey(_row: Row): string | undefined {
  return undefined
}
