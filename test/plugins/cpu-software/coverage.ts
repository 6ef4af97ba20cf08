/**
 * Which rows of the instruction table the comparisons with the host run, and why the others are not among them.
 * A row is in exactly one family; the coverage test sees to it that every advertised row is in one.
 */

import { sseAssistOf } from '../../../src/plugins/cpu-software/fp/sse.ts'
import { ADVERTISED } from '../../../src/plugins/cpu-software/isa/features.ts'
import type { Row } from '../../../src/plugins/cpu-software/isa/row.ts'
import { ROWS } from '../../../src/plugins/cpu-software/isa/table.ts'
import { CONTROL } from '../../../src/plugins/cpu-software/isa/table-control.ts'
import { INTEGER } from '../../../src/plugins/cpu-software/isa/table-integer.ts'
import { SIMD_FLOAT } from '../../../src/plugins/cpu-software/isa/table-simd-float.ts'
import { SIMD_INTEGER } from '../../../src/plugins/cpu-software/isa/table-simd-integer.ts'
import { X87 } from '../../../src/plugins/cpu-software/isa/table-x87.ts'
import { meaningKey } from '../../../src/plugins/cpu-software/sem/meanings.ts'
import { vectorKey } from '../../../src/plugins/cpu-software/sem/vector-meanings.ts'
import { findAssist } from '../../../src/plugins/cpu-software/system/assists.ts'

const mnemonics = (
  ...tables: readonly (readonly (readonly [string, ...unknown[]])[])[]
): ReadonlySet<string> => new Set(tables.flatMap((table) => table.map(([mnemonic]) => mnemonic)))

const INTEGERS = mnemonics(INTEGER, CONTROL)
const VECTORS = mnemonics(SIMD_INTEGER, SIMD_FLOAT)
const X87S = mnemonics(X87)
const STRINGS = /^(MOVS|CMPS|STOS|LODS|SCAS)$/

/** Rows that no comparison in user mode can be made for, with the reason. */
const APART: readonly (readonly [RegExp, string])[] = [
  [/^(JMPF|CALLF|RETF|IRET[DQ]?)\b/, 'far transfers depend on the host kernel’s descriptors: micro-guests'],
  [/^(SYSCALL|SYSENTER)$/, 'would be a system call of the host: micro-guest syscall-sysret'],
  [
    /^(L[DEFGS]S) |^(PUSH|POP) [C-GS]S$|^MOV sreg/,
    'would change segments the host needs: micro-guests segment-bases, segment-limits',
  ],
  [
    /^(SLDT|STR|SGDT|SIDT|SMSW|LAR|LSL|VERR|VERW)\b/,
    'the host kernel’s own descriptors and registers, or emulated by it',
  ],
  [/^(CPUID|RDTSC|RDTSCP|RDPMC)$/, 'the answer is the machine’s own'],
  [/^(VMCALL|VMMCALL)$/, 'a call to the hypervisor: micro-guests'],
  [/^INT1$/, 'hypervisors give the host a wrong rip for it: its own test below'],
]

export type Family = 'integer' | 'string' | 'vector' | 'float' | 'x87' | 'privileged' | 'system'

export const advertisedRows: readonly Row[] = ROWS.filter((row) => ADVERTISED.has(row.feature))

/** Why a row is not compared with the host, undefined if it is. */
export function reasonApart(row: Row): string | undefined {
  const spelled =
    row.mnemonic === 'MOV' || /^(PUSH|POP|L[DEFGS]S)$/.test(row.mnemonic) ? row.form : row.mnemonic
  return APART.find(([pattern]) => pattern.test(spelled) || pattern.test(row.form))?.[1]
}

export function familyOf(row: Row): Family | undefined {
  if (row.cpl0 || /^(IN|OUT|INS|OUTS|CLI|STI)$/.test(row.mnemonic)) return 'privileged'
  if (STRINGS.test(row.mnemonic) && row.operands.some((o) => /^m\d+\[/.test(o.text))) return 'string'
  if (VECTORS.has(row.mnemonic))
    return sseAssistOf(row.mnemonic, row.opSize) === undefined ? 'vector' : 'float'
  if (X87S.has(row.mnemonic)) return 'x87'
  if (INTEGERS.has(row.mnemonic)) return 'integer'
  if (/^(FXSAVE|FXRSTOR|FXSAVE64|FXRSTOR64|LDMXCSR|STMXCSR)$/.test(row.mnemonic)) return 'float'
  if (/^(LFENCE|MFENCE|SFENCE|CLFLUSH|ARPL)$/.test(row.mnemonic)) return 'system'
  return undefined
}

/** The rows of a family that are compared. */
export const rowsOf = (...families: readonly Family[]): readonly Row[] =>
  advertisedRows.filter((row) => reasonApart(row) === undefined && families.includes(familyOf(row)!))

/** Whether anything executes a row: a meaning, a vector meaning or an assist. */
export const runsOnThisCpu = (row: Row): boolean =>
  meaningKey(row, 0) !== undefined || vectorKey(row) !== undefined || findAssist(row) !== undefined
