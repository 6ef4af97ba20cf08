/** Operands of assists: registers, the memory operand, the stack. What faults throws; nothing has changed by then. */
import type { AssistOp } from '../block/code-cache.ts'
import type { Cpu } from '../cpu.ts'

/** An instruction executed by the TypeScript side (assists.ts). Answers an OUTCOME; anything else: the next one follows. */
export type AssistRun = (cpu: Cpu, op: AssistOp) => unknown

export type Size = 1 | 2 | 4 | 8

/** Linear address of the memory operand, made by the micro-op before. */
export const operandAddress = (cpu: Cpu): bigint => cpu.state.word('tmpAddress')

/** General register by number at a size. High-byte registers are not for assists. */
export function readRegister(cpu: Cpu, n: number, size: Size): bigint {
  return BigInt.asUintN(size * 8, cpu.state.regs[n]!)
}
export function writeRegister(cpu: Cpu, n: number, size: Size, value: bigint): void {
  const { regs } = cpu.state
  if (size >= 4) regs[n] = BigInt.asUintN(size * 8, value)
  else {
    const mask = (1n << BigInt(size * 8)) - 1n
    regs[n] = (regs[n]! & BigInt.asUintN(64, ~mask)) | (value & mask)
  }
}
/** The register-or-memory operand. */
export function readOperand(cpu: Cpu, op: AssistOp, size: Size): bigint {
  return op.isMem ? cpu.load(operandAddress(cpu), size) : readRegister(cpu, op.rm, size)
}
export function writeOperand(cpu: Cpu, op: AssistOp, size: Size, value: bigint): void {
  if (op.isMem) cpu.store(operandAddress(cpu), size, value)
  else writeRegister(cpu, op.rm, size, value)
}

/** The stack pointer under the current stack size, and words at it. */
export function stackPointer(cpu: Cpu): bigint {
  return cpu.state.regs[4]! & cpu.state.word('stackMask')
}
export function setStackPointer(cpu: Cpu, value: bigint): void {
  const mask = cpu.state.word('stackMask')
  cpu.state.regs[4] = (cpu.state.regs[4]! & BigInt.asUintN(64, ~mask)) | (value & mask)
}
export function peekStack(cpu: Cpu, offset: number, size: Size): bigint {
  const pointer = (stackPointer(cpu) + BigInt(offset)) & cpu.state.word('stackMask')
  return cpu.load(cpu.linear(2, pointer, size, false), size)
}
/** Pushes words, the first first; nothing is moved if one faults. */
export function pushWords(cpu: Cpu, size: Size, words: readonly bigint[]): void {
  const mask = cpu.state.word('stackMask')
  let pointer = stackPointer(cpu)
  for (const word of words) {
    pointer = (pointer - BigInt(size)) & mask
    cpu.store(cpu.linear(2, pointer, size, true), size, word)
  }
  setStackPointer(cpu, pointer)
}
