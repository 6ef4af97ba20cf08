/** Port input and output: IN OUT INS OUTS, with the I/O permission check (SDM vol. 1, chapter 19). */
import type { AssistOp } from '../block/code-cache.ts'
import type { Cpu } from '../cpu.ts'
import { FLAG } from '../isa/row.ts'
import { OUTCOME, SEGMENT } from '../state.ts'
import { type AssistRun, readRegister, writeRegister } from './operands.ts'

type PortSize = 1 | 2 | 4
const sizeOf = (op: AssistOp): PortSize => (op.opSize / 8) as PortSize

/** CPL above IOPL: the task state segment's bitmap must allow every byte. */
function checkPort(cpu: Cpu, port: number, size: number): void {
  const { state } = cpu
  if (!state.isProtected || state.cpl <= ((state.half('systemFlags') >> 12) & 3)) return
  const base = state.segmentBase(SEGMENT.TR)
  const limit = state.segmentLimit(SEGMENT.TR)
  const type = state.segmentAttributes(SEGMENT.TR) & 15
  if ((type !== 9 && type !== 11) || limit < 103) cpu.raise('GP', 0)
  const allowed = cpu.asSupervisor(() => {
    const map = Number(cpu.load(base + 102n, 2))
    const at = map + (port >> 3)
    if (at + 1 > limit) return false
    const bits = Number(cpu.load(base + BigInt(at), 2)) >> (port & 7)
    return (bits & ((1 << size) - 1)) === 0
  })
  if (!allowed) cpu.raise('GP', 0)
}

const portOf = (cpu: Cpu, op: AssistOp): number =>
  op.row.operands.some((o) => o.kind === 'imm') ? op.imm & 255 : Number(readRegister(cpu, 2, 2))

const mask = (op: AssistOp): bigint => (1n << BigInt(op.addrSize)) - 1n
/** One step of INS or OUTS; again while REP counts. */
function step(
  cpu: Cpu,
  op: AssistOp,
  register: number,
  move: (port: number, size: PortSize) => void,
): number | undefined {
  const { regs } = cpu.state
  const bits = mask(op)
  const put = (n: number, value: bigint) => {
    regs[n] = op.addrSize === 16 ? (regs[n]! & ~0xffffn) | (value & bits) : value & bits
  }
  if (op.rep !== 0 && (regs[1]! & bits) === 0n) return undefined
  const size = sizeOf(op)
  const port = Number(readRegister(cpu, 2, 2))
  checkPort(cpu, port, size)
  move(port, size)
  const stride = BigInt(cpu.state.half('systemFlags') & FLAG.DF ? -size : size)
  put(register, (regs[register]! + stride) & bits)
  if (op.rep === 0) return undefined
  put(1, ((regs[1]! & bits) - 1n) & bits)
  return (regs[1]! & bits) === 0n ? undefined : OUTCOME.again
}

export const io: Record<string, AssistRun> = {
  IN: (cpu, op) => {
    const port = portOf(cpu, op)
    checkPort(cpu, port, sizeOf(op))
    const value = cpu.host.portIn(port, sizeOf(op)) >>> 0
    writeRegister(cpu, 0, sizeOf(op), BigInt(value))
  },
  OUT: (cpu, op) => {
    const port = portOf(cpu, op)
    checkPort(cpu, port, sizeOf(op))
    cpu.host.portOut(port, sizeOf(op), Number(readRegister(cpu, 0, sizeOf(op))))
  },
  INS: (cpu, op) =>
    step(cpu, op, 7, (port, size) => {
      const at = cpu.linear(SEGMENT.ES, cpu.state.regs[7]! & mask(op), size, true)
      // The destination is tried before the device is read: a fault must not lose a byte.
      cpu.probeStore(at, size)
      cpu.store(at, size, BigInt(cpu.host.portIn(port, size) >>> 0))
    }),
  OUTS: (cpu, op) =>
    step(cpu, op, 6, (port, size) => {
      const at = cpu.linear(op.segment, cpu.state.regs[6]! & mask(op), size, false)
      cpu.host.portOut(port, size, Number(cpu.load(at, size)))
    }),
}
