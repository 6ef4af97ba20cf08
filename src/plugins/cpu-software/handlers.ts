/**
 * The interpreter's handlers: one for each meaning at one width and one set of operand kinds.
 *
 * The list is made from the instruction table, so that its order, and with it the generated module, is the
 * same in every process. Hot handlers are inline in the interpreter's big function; the others are functions.
 */
import type { Decoded } from './isa/decode.ts'
import type { Row } from './isa/row.ts'
import { ROWS } from './isa/table.ts'
import type { HandlerFacts, OperandKind } from './read/surroundings.ts'
import type { Width } from './read/vocabulary.ts'
import { MEANINGS, meaningKey } from './sem/meanings.ts'
import { VECTOR_MEANINGS, vectorKey } from './sem/vector-meanings.ts'
import { NATIVE_KEYS } from './system/native.ts'

/** Handlers that are no instruction; they come first in the list. */
export const SPECIAL = {
  /** Goes to `link`: code that continues in micro-ops made earlier. */
  goto: 0,
  /** Looks the next instruction up by address: the code goes on in another page, or was invalidated. */
  resume: 1,
  /** The same for this instruction itself: its micro-op was dropped. */
  stale: 2,
  /** Makes tmpAddress for the next micro-op: address size and segment base in 64-bit code. */
  address: 3,
  /** The same with the checks of legacy segmentation. */
  addressLegacy: 4,
  /** Calls the TypeScript side. */
  assist: 5,
  /** Goes on only if the next page still maps the second half of the instruction that follows. */
  crossing: 6,
  /** tmpAddress from a 64-bit absolute address and a segment base. */
  absolute: 7,
  /** Enters a translated region; the micro-op that was here is at `link` (state.ts, ENTRY). */
  region: 8,
} as const
export const SPECIALS = Object.keys(SPECIAL).length

export interface Handler {
  readonly key: string
  readonly width: Width
  readonly facts: HandlerFacts
  readonly inline: boolean
  /** A vector instruction: its meaning is in VECTOR_MEANINGS. */
  readonly vector: boolean
}

const ALU = 'ADD SUB CMP AND OR XOR TEST'.split(' ')
const HOT: Readonly<Record<string, readonly number[]>> = Object.fromEntries([
  ...ALU.map((name) => [name, [8, 16, 32, 64]] as const),
  ...'ADC SBB SHL SHR SAR ROL ROR INC DEC NEG NOT IMUL:2 IMUL:3 LEA MOVZX:8 MOVZX:16 MOVSX:8 MOVSX:16 MOVSXD:32 MUL CBW CWD BT BSWAP'
    .split(' ')
    .map((name) => [name, [32, 64]] as const),
  ['MOV', [8, 16, 32, 64]],
  ...['PUSH', 'POP', 'LEAVE', 'JMP:rel', 'JMP:near', 'CALL:rel', 'CALL:near', 'RET:near'].map(
    (name) => [name, [64]] as const,
  ),
  ...['STOS REP', 'MOVS REP'].map((name) => [name, [8, 32, 64]] as const),
  ['NOP', [16, 32, 64]],
])
const HOT_CONDITIONS = 'O NO B AE E NE BE A S NS L GE LE G'.split(' ')

function isHot(key: string, width: number, facts: HandlerFacts): boolean {
  if (!facts.long || facts.locked || facts.addressSize !== 64) return false
  const jcc = /^(J|SET|CMOV)([A-Z]+)$/.exec(key)
  if (jcc !== null && HOT_CONDITIONS.includes(jcc[2]!))
    return jcc[1] !== 'CMOV' || (facts.kinds[1] === 'r' && width >= 32)
  return HOT[key]?.includes(width) ?? false
}

/** Whether string operations, LOOP and JrCXZ: the address size is part of the handler. */
const usesAddressSize = (key: string): boolean => /^(MOVS|STOS|LODS|CMPS|SCAS)( |$)|^LOOP|^JRCXZ/.test(key)

/** Operand kinds as a row has them, for a register (`memory` false) or memory form. */
export function operandKinds(row: Row, memory: boolean, wide: boolean): OperandKind[] {
  const kinds: OperandKind[] = []
  for (const o of row.operands) {
    if (o.where === 'fixed' && o.kind === 'm') continue
    if (o.kind === 'rel') continue
    if (o.kind === 'imm') kinds.push(wide ? 'I' : 'i')
    else if (o.kind === 'm' || o.kind === 'moffs') kinds.push('m')
    else if (o.kind === 'fixed') kinds.push(o.text === '1' ? 'i' : 'r')
    else if (o.kind === 'rm' || o.kind === 'xmm/m' || o.kind === 'mm/m') kinds.push(memory ? 'm' : 'r')
    else kinds.push('r')
  }
  return kinds
}

const nameOf = (key: string, width: number, facts: HandlerFacts): string =>
  `${key}/${width}/${facts.kinds.join('')}/${facts.long ? 'long' : 'legacy'}${facts.locked ? '/lock' : ''}/${facts.addressSize}`

const found = new Map<string, Handler>()

function add(key: string, width: Width, facts: HandlerFacts, vector: boolean): void {
  const name = nameOf(key, width, facts)
  if (!found.has(name))
    found.set(name, { key, width, facts, inline: !vector && isHot(key, width, facts), vector })
}

/** Semantics differ between 64-bit and legacy code only where the stack, segments or the size of rIP show. */
const modal = (key: string): boolean =>
  /^(PUSH|POP|LEAVE|CALL|JMP|RET|J[A-Z]+|LOOP.*|MOVS|STOS|LODS|CMPS|SCAS)($| |:)/.test(key)

function enumerate(): void {
  for (const row of ROWS) {
    const vector = vectorKey(row)
    if (vector !== undefined) {
      for (const memory of memoryForms(row))
        add(
          vector,
          64,
          {
            kinds: operandKinds(row, memory, false),
            access: VECTOR_MEANINGS[vector]!.access,
            long: true,
            locked: false,
            addressSize: 64,
          },
          true,
        )
      continue
    }
    for (const rep of row.rep === '' ? [0] : [0, 0xf3, 0xf2]) {
      const key = meaningKey(row, rep)
      if (key === undefined) continue
      const { access } = MEANINGS[key]!
      const width = (row.opSize || 64) as Width
      for (const memory of memoryForms(row))
        for (const wide of row.operands.some((o) => o.kind === 'imm' && o.width === 64)
          ? [false, true]
          : [false]) {
          const kinds = operandKinds(row, memory, wide)
          for (const long of modal(key) ? [true, false] : [true]) {
            if (long ? row.no64 : row.only64) if (modal(key)) continue
            for (const addressSize of usesAddressSize(key)
              ? long
                ? ([64, 32] as const)
                : ([32, 16] as const)
              : ([64] as const)) {
              const implicit = key === 'XCHG' && memory
              if (!implicit) add(key, width, { kinds, access, long, locked: false, addressSize }, false)
              if ((row.lockable && memory) || implicit)
                add(key, width, { kinds, access, long, locked: true, addressSize }, false)
            }
          }
        }
    }
  }
}

function memoryForms(row: Row): readonly boolean[] {
  const both = row.operands.find((o) => o.kind === 'rm' || o.kind === 'xmm/m' || o.kind === 'mm/m')
  return both === undefined ? [row.operands.some((o) => o.kind === 'm' || o.kind === 'moffs')] : [false, true]
}

enumerate()

const hot = [...found].filter(([, handler]) => handler.inline)
const cold = [...found].filter(([, handler]) => !handler.inline)
/** In the order of their numbers, which start after the specials: inline ones first. */
export const HANDLERS: readonly Handler[] = [...hot, ...cold].map(([, handler]) => handler)
export const INLINE_HANDLERS = hot.length
/** Hand-written handlers of system instructions come last. */
export const NATIVE_HANDLERS: ReadonlyMap<string, number> = new Map(
  NATIVE_KEYS.map((key, index) => [key, SPECIALS + HANDLERS.length + index]),
)
const byName = new Map([...hot, ...cold].map(([name], index) => [name, SPECIALS + index]))

/** The handler of a decoded instruction, -1 when its row has none. */
export function findHandler(row: Row, d: Decoded, mode: 64 | 32 | 16, kinds: readonly OperandKind[]): number {
  const vector = vectorKey(row)
  if (vector !== undefined)
    return (
      byName.get(nameOf(vector, 64, { kinds, access: [], long: true, locked: false, addressSize: 64 })) ?? -1
    )
  const key = meaningKey(row, d.rep)
  if (key === undefined) return -1
  const long = mode === 64 || !modal(key)
  const locked = (d.lock || key === 'XCHG') && d.isMem
  const addressSize = usesAddressSize(key) ? (d.addrSize as 64 | 32 | 16) : 64
  return (
    byName.get(nameOf(key, (row.opSize || 64) as Width, { kinds, access: [], long, locked, addressSize })) ??
    -1
  )
}
