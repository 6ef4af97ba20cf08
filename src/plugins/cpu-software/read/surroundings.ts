/** What the emitting reading (emit.ts) writes a handler into: functions to call, the place it is at, what is known of its instruction. */
import type { Expr, Label } from '../wasm/encoder.ts'
import type { Access } from './vocabulary.ts'

/** Functions of the core module that handlers call. */
export interface CoreFunctions {
  /** (state, address, size) → host address, or 0 for a fault. */
  readonly loadSlow: number
  /** (state, address, size, preload) → host address to store to, or 0 for a fault; may open a pending store. */
  readonly storeOpen: number
  /** (state) finishes a pending store. */
  readonly storeCommit: number
  /** (state, segment, offset, size, write) → linear address, or -1 for a fault. */
  readonly segmentAddress: number
  /** (state, hi, lo, d): quotient and remainder into the state block. */
  readonly divWide: number
  /** (a, b) → high half. */
  readonly mulHighU: number
  readonly mulHighS: number
  /** (micro-op) → OUTCOME: the TypeScript side executes the instruction; rip and nextRip are set. */
  readonly assist: number
}

/** Where a handler lives and how it leaves. */
export type Place =
  | {
      readonly kind: 'inline'
      readonly fault: Label
      readonly next: Label
      /** Goes on at the linear address in the local `target`. */
      readonly jump: Label
      /** The same, and the found micro-op may be linked into the current one. */
      readonly jumpLink: Label
      readonly target: number
      readonly fuel: number
      /** Before a way to `jump` that is no branch, where somebody counts them. */
      readonly noBranch?: () => void
    }
  | { readonly kind: 'function' }

/** Register, memory, 32-bit immediate (sign-extended), 64-bit immediate. */
export type OperandKind = 'r' | 'm' | 'i' | 'I'

/** Static facts about the handler. */
export interface HandlerFacts {
  /** Operand kinds: register, memory, immediate. */
  readonly kinds: readonly OperandKind[]
  readonly access: readonly Access[]
  readonly long: boolean
  readonly locked: boolean
  /** Address size for implicit address registers. */
  readonly addressSize: 64 | 32 | 16
}

/** Where to store, and whether `storeCommit` must follow (1: the slow path was taken). */
export interface OpenStore {
  readonly host: Expr
  readonly slow: Expr
}
