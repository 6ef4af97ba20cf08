/** All micro-guests, in the order of the README's table. */
import type { MicroGuest } from '../../src/testkit/micro-guests/guest.ts'
import { guest as atomics } from './atomics.ts'
import { guest as eventChannels } from './event-channels.ts'
import { guest as exceptionRips } from './exception-rips.ts'
import { guest as fpuTraps } from './fpu-traps.ts'
import { guest as haltIsPowerOff } from './halt-is-power-off.ts'
import { guest as hypercallErrors } from './hypercall-errors.ts'
import { guest as interruptStackTable } from './interrupt-stack-table.ts'
import { guest as interruptWindow } from './interrupt-window.ts'
import { guest as lapicTimer } from './lapic-timer.ts'
import { guest as nonCanonical } from './non-canonical.ts'
import { guest as pageFaultCodes } from './page-fault-codes.ts'
import { guest as pagingModes } from './paging-modes.ts'
import { guest as processorStart } from './processor-start.ts'
import { guest as segmentBases } from './segment-bases.ts'
import { guest as segmentLimits } from './segment-limits.ts'
import { guest as selfModifyingCode } from './self-modifying-code.ts'
import { guest as singleStep } from './single-step.ts'
import { guest as splitLocks } from './split-locks.ts'
import { guest as stringFaults } from './string-faults.ts'
import { guest as syscallSysret } from './syscall-sysret.ts'
import { guest as vcpuUp } from './vcpu-up.ts'
import { guest as writeProtect } from './write-protect.ts'
import { guest as xenLeaves } from './xen-leaves.ts'
import { guest as xenTimers } from './xen-timers.ts'

export const GUESTS: readonly MicroGuest[] = [
  pageFaultCodes,
  writeProtect,
  pagingModes,
  stringFaults,
  selfModifyingCode,
  exceptionRips,
  nonCanonical,
  singleStep,
  fpuTraps,
  segmentLimits,
  segmentBases,
  syscallSysret,
  interruptStackTable,
  interruptWindow,
  lapicTimer,
  processorStart,
  atomics,
  splitLocks,
  xenLeaves,
  hypercallErrors,
  eventChannels,
  xenTimers,
  vcpuUp,
  haltIsPowerOff,
]
