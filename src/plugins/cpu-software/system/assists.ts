/**
 * Instructions that the TypeScript side executes: found by mnemonic, some by form.
 *
 * An assist may throw through `cpu.raise`; it must have changed nothing by then. It returns an OUTCOME, or
 * nothing for "the next instruction".
 */

import { floatingPointAssist } from '../fp/assists.ts'
import type { Row } from '../isa/row.ts'
import { control } from './control.ts'
import { far } from './far.ts'
import { flagsAndStack } from './flags-stack.ts'
import { io } from './io.ts'
import type { AssistRun } from './operands.ts'
import { registers } from './registers.ts'
import { vector } from './vector.ts'

const ASSISTS: Readonly<Record<string, AssistRun>> = {
  ...control,
  ...far,
  ...flagsAndStack,
  ...io,
  ...registers,
  ...vector,
}

/** The assist of a row: by form first (`MOV r64, cr`), then by mnemonic. */
export function findAssist(row: Row): AssistRun | undefined {
  const run = ASSISTS[row.form] ?? ASSISTS[row.mnemonic] ?? floatingPointAssist(row)
  if (run === undefined || !row.cpl0) return run
  return (cpu, op) => {
    if (cpu.state.cpl !== 0) cpu.raise('GP', 0)
    return run(cpu, op)
  }
}
