/** vcpu.h and sched.h: VIRQ_TIMER, polling with a deadline, blocking, and the runstate that accounts for it. */
import { at, label, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { type GuestBuilder, microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { CALL, SCHEDOP } from '../../src/testkit/micro-guests/runtime.ts'
import {
  argument,
  expectOp,
  result,
  SHARED_INFO,
  skipWithoutXen,
  testPort,
} from '../../src/testkit/micro-guests/xen.ts'

const BIND_VIRQ = 1
const VCPUOP = {
  get_runstate_info: 4,
  register_runstate_memory_area: 5,
  set_periodic_timer: 6,
  stop_periodic_timer: 7,
  set_singleshot_timer: 8,
}
const HVMOP_get_time = 10
const EINVAL = -22
const MS = 1_000_000
const RUNSTATE = { state: 0, entry: 8, time: 16 }
const RUNNING = 0

/** RBX ← system time in ns. */
function now(g: GuestBuilder): void {
  argument(g, 8)
  expectOp(g, 'get_time', CALL.hvm_op, HVMOP_get_time, 0)
  g.emit('MOV', 'rbx', mem({ disp: label('line') }))
}

/** SCHEDOP_poll of the timer's port until RBX at the latest. */
function poll(g: GuestBuilder): void {
  argument(g, 24, [
    [0, 64, label('timer')],
    [8, 32, 1],
    [16, 64, 'rbx'],
  ])
  expectOp(g, 'poll', CALL.sched_op, SCHEDOP.poll, 0)
}

function checkPending(g: GuestBuilder, what: string, expected: 0 | 1): void {
  g.emit('MOV', 'eax', at('timer'))
  testPort(g, SHARED_INFO.pending).emit('SETB', 'al').emit('MOVZX', 'eax', 'al').check(what, 'eax', expected)
}

export const guest = microGuest(
  'xen-timers',
  'timers fire, polls end in time, and runstates add up',
  (g) => {
    skipWithoutXen(g)
    argument(g, 8, [[0, 64, label('runstate')]])
    g.hypercall(CALL.vcpu_op, VCPUOP.register_runstate_memory_area, 0, label('line')).check(
      'register runstate',
      'rax',
      0,
    )
    g.emit('MOV', 'eax', mem({ disp: label('runstate', RUNSTATE.state) })).check('state', 'eax', RUNNING)
    argument(g, 12)
    expectOp(g, 'bind_virq', CALL.event_channel_op, BIND_VIRQ, 0)
    result(g, 8).emit('MOV', at('timer'), 'eax')

    // A poll without an event ends at its deadline, an absolute time.
    now(g)
    g.emit('ADD', 'rbx', 3 * MS).emit('MOV', 'r12', 'rbx')
    poll(g)
    now(g)
    g.emit('SUB', 'rbx', 'r12').emit('SAR', 'rbx', 63).check('the poll ended before its deadline', 'rbx', 0)
    checkPending(g, 'timer before it was set', 0)

    now(g)
    g.emit('ADD', 'rbx', 2 * MS).emit('MOV', 'r12', 'rbx')
    argument(g, 16, [[0, 64, 'rbx']])
    g.hypercall(CALL.vcpu_op, VCPUOP.set_singleshot_timer, 0, label('line')).check(
      'set_singleshot_timer',
      'rax',
      0,
    )
    g.emit('XOR', 'ebx', 'ebx')
    poll(g)
    checkPending(g, 'timer after the poll', 1)
    now(g)
    g.emit('SUB', 'rbx', 'r12').emit('SAR', 'rbx', 63).check('the timer fired early', 'rbx', 0)

    // The poll blocked: time 2 is what was spent so, at least 3 ms.
    g.emit('XOR', 'eax', 'eax')
      .emit('CMP', mem({ disp: label('runstate', RUNSTATE.time + 16), size: 64 }), 3 * MS)
      .emit('SETAE', 'al')
      .check('time blocked is counted', 'eax', 1)
    argument(g, 48)
    g.hypercall(CALL.vcpu_op, VCPUOP.get_runstate_info, 0, label('line')).check('get_runstate_info', 'rax', 0)
    // time[0..3] add up to the entry time.
    g.emit('XOR', 'eax', 'eax')
    for (let state = 0; state < 4; state++)
      g.emit('ADD', 'rax', mem({ disp: label('runstate', RUNSTATE.time + 8 * state) }))
    g.emit('SUB', 'rax', mem({ disp: label('runstate', RUNSTATE.entry) })).check(
      'times minus entry time',
      'rax',
      0,
    )

    argument(g, 8, [[0, 64, MS / 2]])
    g.hypercall(CALL.vcpu_op, VCPUOP.set_periodic_timer, 0, label('line')).check(
      'a period below 1 ms',
      'rax',
      EINVAL,
    )
    g.hypercall(CALL.vcpu_op, VCPUOP.stop_periodic_timer, 0, 0).check('stop_periodic_timer', 'rax', 0)

    // set_timer_op with a time that has passed fires at once; 0 stops.
    g.emit('MOV', 'eax', at('timer')).emitWith(
      { lock: true },
      'BTR',
      mem({ disp: label('shared_page', SHARED_INFO.pending), size: 32 }),
      'eax',
    )
    g.hypercall(CALL.set_timer_op, 0).check('set_timer_op 0', 'rax', 0)
    g.hypercall(CALL.set_timer_op, 1).check('set_timer_op', 'rax', 0).emit('XOR', 'ebx', 'ebx')
    poll(g)
    checkPending(g, 'timer set to the past', 1)
    g.jmp('end').align(64).label('runstate').zero(64).label('timer').u64(0).label('end')
  },
  { needsXen: true },
)
