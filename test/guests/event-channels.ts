/** event_channel.h: a port's life, 2-level bits, masks, and the upcall by callback vector. */
import { at, label, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { type GuestBuilder, microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { CALL } from '../../src/testkit/micro-guests/runtime.ts'
import {
  argument,
  expectOp,
  result,
  SHARED_INFO,
  skipWithoutXen,
  testPort,
} from '../../src/testkit/micro-guests/xen.ts'

const SELF = 0x7ff0
const OP = {
  bind_interdomain: 0,
  bind_virq: 1,
  close: 3,
  send: 4,
  status: 5,
  alloc_unbound: 6,
  bind_ipi: 7,
  unmask: 9,
}
const STATUS = { closed: 0, unbound: 1, interdomain: 2, ipi: 5 }
const [EEXIST, EINVAL] = [-17, -22]
const VECTOR = 0x93
const CALLBACK_IRQ = 0
const VIRQ_TIMER = 0

/** An operation on the port in a variable. */
function onPort(g: GuestBuilder, what: string, op: number, port: string, expected: number): void {
  g.emit('MOV', 'ebx', at(port))
  argument(g, 8, [[0, 32, 'ebx']])
  expectOp(g, what, CALL.event_channel_op, op, expected)
}

function checkStatus(g: GuestBuilder, what: string, port: string, expected: number): void {
  g.emit('MOV', 'ebx', at(port))
  argument(g, 24, [
    [0, 16, SELF],
    [4, 32, 'ebx'],
  ])
  expectOp(g, what, CALL.event_channel_op, OP.status, 0)
  result(g, 8).check(what, 'eax', expected)
}

const setMask = (g: GuestBuilder, port: string) =>
  g
    .emit('MOV', 'eax', at(port))
    .emitWith({ lock: true }, 'BTS', mem({ disp: label('shared_page', SHARED_INFO.mask), size: 32 }), 'eax')

function checkUpcalls(g: GuestBuilder, what: string, expected: number): void {
  g.takeInterrupts().emit('MOV', 'eax', at('upcalls')).check(what, 'eax', expected)
}

export const guest = microGuest(
  'event-channels',
  'ports open, signal, mask and close as in Xen',
  (g) => {
    skipWithoutXen(g)
    // Like Linux: clear upcall_pending, then the selector, then each pending bit.
    g.handler(VECTOR, () => {
      g.emit('INC', at('upcalls', { size: 32 })).emit('MOV', mem({ disp: label('shared_page'), size: 8 }), 0)
      g.emit('XOR', 'eax', 'eax')
        .emit('XCHG', mem({ disp: label('shared_page', SHARED_INFO.pendingSel) }), 'rax')
        .emit('OR', at('selected'), 'rax')
      g.emit('XOR', 'eax', 'eax')
        .emit('XCHG', mem({ disp: label('shared_page', SHARED_INFO.pending) }), 'rax')
        .emit('OR', at('seen'), 'rax')
    })
    argument(g, 16, [
      [0, 16, SELF],
      [4, 32, CALLBACK_IRQ],
    ])
    g.emit('MOV', 'rax', (2n << 56n) | BigInt(VECTOR)).emit('MOV', mem({ disp: label('line', 8) }), 'rax')
    expectOp(g, 'callback vector', CALL.hvm_op, 0, 0)
    // What the console did until now is not ours.
    g.takeInterrupts().emit('MOV', at('upcalls', { size: 32 }), 0)
    setMask(g, 'console_port')

    argument(g, 8, [[0, 32, 0]])
    expectOp(g, 'bind_ipi', CALL.event_channel_op, OP.bind_ipi, 0)
    result(g, 4).emit('MOV', at('ipi'), 'eax')
    checkStatus(g, 'status of the IPI port', 'ipi', STATUS.ipi)
    onPort(g, 'send', OP.send, 'ipi', 0)
    g.emit('MOV', 'eax', at('ipi'))
    testPort(g, SHARED_INFO.pending)
      .emit('SETB', 'al')
      .emit('MOVZX', 'eax', 'al')
      .check('pending bit', 'eax', 1)
    g.emit('MOVZX', 'eax', mem({ disp: label('shared_page'), size: 8 })).check('upcall_pending', 'eax', 1)
    g.emit('MOV', 'rax', mem({ disp: label('shared_page', SHARED_INFO.pendingSel) })).check(
      'pending_sel',
      'rax',
      1,
    )
    onPort(g, 'send again', OP.send, 'ipi', 0)
    checkUpcalls(g, 'upcalls after two sends', 1)
    g.emit('MOV', 'ecx', at('ipi'))
      .emit('MOV', 'rax', at('seen'))
      .emit('SHR', 'rax', 'cl')
      .emit('AND', 'eax', 1)
      .check('port the handler saw', 'eax', 1)

    setMask(g, 'ipi')
    onPort(g, 'send while masked', OP.send, 'ipi', 0)
    checkUpcalls(g, 'upcalls while masked', 1)
    onPort(g, 'unmask', OP.unmask, 'ipi', 0)
    checkUpcalls(g, 'upcalls after unmask', 2)

    // A channel with ourselves.
    argument(g, 8, [
      [0, 16, SELF],
      [2, 16, SELF],
    ])
    expectOp(g, 'alloc_unbound', CALL.event_channel_op, OP.alloc_unbound, 0)
    result(g, 4).emit('MOV', at('near'), 'eax')
    checkStatus(g, 'status of the unbound port', 'near', STATUS.unbound)
    g.emit('MOV', 'ebx', at('near'))
    argument(g, 12, [
      [0, 16, SELF],
      [4, 32, 'ebx'],
    ])
    expectOp(g, 'bind_interdomain', CALL.event_channel_op, OP.bind_interdomain, 0)
    result(g, 8).emit('MOV', at('far'), 'eax')
    checkStatus(g, 'status of the bound port', 'near', STATUS.interdomain)
    checkUpcalls(g, 'upcalls after bind_interdomain', 3)
    g.emit('MOV', at('seen', { size: 64 }), 0)
    onPort(g, 'send to the other end', OP.send, 'near', 0)
    checkUpcalls(g, 'upcalls after sending', 4)
    g.emit('MOV', 'ecx', at('far'))
      .emit('MOV', 'rax', at('seen'))
      .emit('SHR', 'rax', 'cl')
      .check('only the other end is pending', 'rax', 1)
    onPort(g, 'close', OP.close, 'far', 0)
    checkStatus(g, 'status after close', 'far', STATUS.closed)
    checkStatus(g, 'status of the end that is left', 'near', STATUS.unbound)
    onPort(g, 'close twice', OP.close, 'far', EINVAL)
    onPort(g, 'send to a closed port', OP.send, 'far', EINVAL)
    g.emit('MOV', at('far', { size: 32 }), 0)
    onPort(g, 'send to port 0', OP.send, 'far', EINVAL)
    g.emit('MOV', at('far', { size: 32 }), -1)
    onPort(g, 'send to a port beyond all', OP.send, 'far', EINVAL)
    onPort(g, 'unmask a port beyond all', OP.unmask, 'far', EINVAL)

    argument(g, 12, [[0, 32, VIRQ_TIMER]])
    expectOp(g, 'bind_virq', CALL.event_channel_op, OP.bind_virq, 0)
    argument(g, 12, [[0, 32, VIRQ_TIMER]])
    expectOp(g, 'bind_virq twice', CALL.event_channel_op, OP.bind_virq, EEXIST)
    argument(g, 12, [[0, 32, 99]])
    expectOp(g, 'bind_virq of no such number', CALL.event_channel_op, OP.bind_virq, EINVAL)
    g.jmp('end').align(8)
    for (const name of ['ipi', 'near', 'far', 'upcalls', 'seen', 'selected']) g.label(name).u64(0)
    g.label('end')
  },
  { needsXen: true },
)
