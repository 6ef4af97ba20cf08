/**
 * The table of hypercalls: number, name, header, and what serves each; dispatch and docs/hypercalls.md come from it.
 *
 * What no PVH guest may use has the answer of Xen 4.17 with its reason. What Xen serves and we do not has no
 * handler: it answers -ENOSYS and is named in the log.
 */
import { REG } from '../../base/vcpu.ts'
import { EFAULT, EINVAL, ENOENT, ENOSYS, EPERM, errnoName } from '../abi/errno.ts'
import { EVTCHNOP } from '../abi/event_channel.ts'
import { GNTTABOP } from '../abi/grant_table.ts'
import { HVMOP } from '../abi/hvm/hvm_op.ts'
import { MEMOP_CMD_MASK, XENMEM } from '../abi/memory.ts'
import { SCHEDOP } from '../abi/sched.ts'
import type { Constants } from '../abi/struct.ts'
import { VCPUOP } from '../abi/vcpu.ts'
import { XENVER } from '../abi/version.ts'
import { HYPERVISOR, multicall_entry } from '../abi/xen.ts'
import type { Domain } from '../domain.ts'
import { type Call, type Result, type SubOp, type SubOps, unimplementedCalls } from './call.ts'
import { eventChannelOp } from './event_channel_op.ts'
import { grantTableOp } from './grant_table_op.ts'
import { hvmOp } from './hvm_op.ts'
import { memoryOp, startExtent } from './memory_op.ts'
import { schedOp } from './sched_op.ts'
import { consoleIo, setTimerOp, vmAssist } from './small-calls.ts'
import { vcpuOps } from './vcpu_op.ts'
import { xenVersion } from './xen_version.ts'

type Run = (call: Call, a1: bigint, a2: bigint, a3: bigint) => Result

/** One sub-operation as a row of the document. */
export interface SubRow {
  readonly op: number
  readonly name: string
  /** `done`, a fixed answer with its reason, or `not implemented`. */
  readonly status: string
}
export interface HypercallRow {
  readonly nr: number
  readonly name: string
  /** Header under xen/include/public. */
  readonly header: string
  readonly status: string
  readonly subs: readonly SubRow[]
  readonly run?: Run
}

type Family = Constants<Readonly<Record<string, number>>>

function subRows(family: Family, ops: Readonly<Record<string, unknown>>): SubRow[] {
  return Object.entries(family.values).map(([name, op]) => {
    const entry = ops[name] as SubOp | (() => Result) | undefined
    const note = typeof entry === 'object' ? entry.note : undefined
    return {
      op,
      name: `${family.prefix}_${name}`,
      status: entry === undefined ? 'not implemented' : (note ?? 'done'),
    }
  })
}

/** A call that is a switch: `pick` says where the sub-operation, its argument and one more are. */
function switched(
  name: keyof typeof HYPERVISOR.values,
  header: string,
  family: Family,
  ops: SubOps,
  pick: (a1: bigint, a2: bigint, a3: bigint) => readonly [cmd: number, arg: bigint, extra: bigint] = (
    a1,
    a2,
    a3,
  ) => [Number(a1 & 0xffffffffn), a2, a3],
): HypercallRow {
  const byNumber: (SubOp['run'] | undefined)[] = []
  for (const [sub, op] of Object.entries(family.values)) {
    const entry = ops[sub]
    if (entry !== undefined) byNumber[op] = typeof entry === 'function' ? entry : entry.run
  }
  const nr = HYPERVISOR[name]
  const run: Run = (call, a1, a2, a3) => {
    const [cmd, arg, extra] = pick(a1, a2, a3)
    const sub = byNumber[cmd]
    if (sub !== undefined) return sub(call, arg, extra)
    return call.unimplemented(`${name} ${family.nameOf(cmd)}`, nr, cmd, [a1, a2, a3])
  }
  return { nr, name, header, status: 'done', subs: subRows(family, ops), run }
}

const plain = (name: keyof typeof HYPERVISOR.values, header: string, run: Run): HypercallRow => ({
  nr: HYPERVISOR[name],
  name,
  header,
  status: 'done',
  subs: [],
  run,
})
const refused = (
  name: keyof typeof HYPERVISOR.values,
  header: string,
  errno: number,
  why: string,
): HypercallRow => ({
  nr: HYPERVISOR[name],
  name,
  header,
  status: `-${errnoName(errno)}: ${why}`,
  subs: [],
  run: () => -errno,
})
const missing = (name: keyof typeof HYPERVISOR.values, header: string): HypercallRow => ({
  nr: HYPERVISOR[name],
  name,
  header,
  status: 'not implemented',
  subs: [],
})

const vcpuRow = (): HypercallRow => {
  const byNumber = Object.fromEntries(Object.entries(VCPUOP.values).map(([name, op]) => [op, vcpuOps[name]]))
  const run: Run = (call, a1, a2, a3) => {
    const cmd = Number(a1 & 0xffffffffn)
    const vcpu = Number(a2 & 0xffffffffn)
    // GUEST: Xen judges the vCPU before the operation.
    if (vcpu >= call.domain.vcpus) return -ENOENT
    const op = byNumber[cmd]
    if (op === undefined)
      return call.unimplemented(`vcpu_op ${VCPUOP.nameOf(cmd)}`, HYPERVISOR.vcpu_op, cmd, [a1, a2, a3])
    return typeof op === 'function' ? op(call, vcpu, a3) : op.run(call, a3, 0n)
  }
  return {
    nr: HYPERVISOR.vcpu_op,
    name: 'vcpu_op',
    header: 'vcpu.h',
    status: 'done',
    subs: subRows(VCPUOP, vcpuOps),
    run,
  }
}

/** XEN: Xen takes any number and stops in between for others; here a vCPU must be able to park. */
const MOST_CALLS = 65536n

/** multicall: each entry like a call of its own; its answer goes into the entry. */
function multicall(call: Call, list: bigint, count: bigint): Result {
  if (call.inMulticall || BigInt.asUintN(32, count) > MOST_CALLS) return -EINVAL
  const layout = multicall_entry.for(call.abi)
  call.inMulticall = true
  try {
    // GUEST: each entry is read once; a list that ends in unmapped memory ends there.
    for (let n = 0n; n < BigInt.asUintN(32, count); n++) {
      const at = list + n * BigInt(layout.size)
      const entry = call.fetch(at, multicall_entry)
      if (entry === undefined) return -EFAULT
      const [a1, a2, a3] = entry.args as [bigint, bigint, bigint]
      const answer = run(call, Number(BigInt.asUintN(32, entry.op)), a1, a2, a3)
      const result = BigInt.asUintN(call.abi, BigInt(answer))
      if (!call.put(at, multicall_entry, { result })) return -EFAULT
    }
    return 0
  } finally {
    call.inMulticall = false
  }
}

export const HYPERCALLS: readonly HypercallRow[] = [
  refused('platform_op', 'platform.h', ENOSYS, 'only dom0'),
  switched('memory_op', 'memory.h', XENMEM, memoryOp, (a1, a2) => {
    const cmd = Number(a1 & 0xffffffffn)
    return [cmd & MEMOP_CMD_MASK, a2, BigInt(startExtent(cmd))]
  }),
  plain('multicall', 'xen.h', multicall),
  plain('set_timer_op', 'xen.h', setTimerOp),
  switched('xen_version', 'version.h', XENVER, xenVersion),
  plain('console_io', 'xen.h', consoleIo),
  switched('grant_table_op', 'grant_table.h', GNTTABOP, grantTableOp),
  plain('vm_assist', 'xen.h', vmAssist),
  vcpuRow(),
  missing('mmuext_op', 'xen.h'),
  refused('xsm_op', 'xsm/flask_op.h', ENOSYS, 'no XSM'),
  switched('sched_op', 'sched.h', SCHEDOP, schedOp),
  switched('event_channel_op', 'event_channel.h', EVTCHNOP, eventChannelOp),
  refused('physdev_op', 'physdev.h', ENOSYS, 'a PVH guest has no PIRQs'),
  switched('hvm_op', 'hvm/hvm_op.h', HVMOP, hvmOp),
  refused('sysctl', 'sysctl.h', EPERM, 'only dom0'),
  refused('domctl', 'domctl.h', EPERM, 'only the toolstack'),
  refused('argo_op', 'argo.h', ENOSYS, 'not enabled'),
  refused('xenpmu_op', 'pmu.h', ENOSYS, 'not enabled'),
  refused('dm_op', 'hvm/dm_op.h', EPERM, 'only a device model'),
]

const byNumber: (HypercallRow | undefined)[] = []
for (const row of HYPERCALLS) byNumber[row.nr] = row

/** Runs one hypercall with its arguments and answers what goes to RAX. */
function run(call: Call, nr: number, a1: bigint, a2: bigint, a3: bigint): Result {
  const row = byNumber[nr]
  if (row?.run !== undefined) return row.run(call, a1, a2, a3)
  return call.unimplemented(HYPERVISOR.nameOf(nr), nr, 0, [a1, a2, a3])
}

/** VMCALL or VMMCALL: takes number and arguments from the registers by the mode at the trap, writes RAX. */
export function hypercall(call: Call, nr: number): void {
  const { regs, mode, cpl } = call.vcpu
  if (cpl > 0) {
    regs[REG.rax] = BigInt.asUintN(64, BigInt(-EPERM))
    return
  }
  if (mode === 64) {
    call.abi = 64
    const answer = run(call, nr, regs[REG.rdi]!, regs[REG.rsi]!, regs[REG.rdx]!)
    regs[REG.rax] = BigInt.asUintN(64, BigInt(answer))
    return
  }
  call.abi = 32
  const low = (reg: number) => BigInt.asUintN(32, regs[reg]!)
  const answer = run(call, nr, low(REG.rbx), low(REG.rcx), low(REG.rdx))
  regs[REG.rax] = BigInt.asUintN(32, BigInt(answer))
}

/** Whether its first argument says which operation is meant. */
export const hasSubOps = (nr: number): boolean => (byNumber[nr]?.subs.length ?? 0) > 0

/** A call in words, for `xt trace`: its name, and the name of its sub-operation if it has one. */
export function callName(nr: number, args: readonly bigint[]): string {
  const row = byNumber[nr]
  if (row === undefined || row.subs.length === 0) return HYPERVISOR.nameOf(nr)
  const raw = Number(BigInt.asUintN(32, args[0] ?? 0n))
  const op = nr === HYPERVISOR.memory_op ? raw & MEMOP_CMD_MASK : raw
  return row.subs.find((known) => known.op === op)?.name ?? `${row.name} ${op}`
}

/** Names of what a domain called that is not there, for people: `xt info`. */
export function missingCalls(domain: Domain): string[] {
  return unimplementedCalls(domain).map(([nr, sub]) => {
    const row = byNumber[nr]
    if (row === undefined || row.subs.length === 0) return HYPERVISOR.nameOf(nr)
    return `${row.name} ${row.subs.find((known) => known.op === sub)?.name ?? sub}`
  })
}
