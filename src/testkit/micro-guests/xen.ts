/**
 * Xen for micro-guests: argument structures built in guest memory, events in shared_info (2-level).
 *
 * A guest that tried hypercalls on the bare machine would fault, so these guests skip where Xen is not there.
 */
import { at, label, mem } from '../../plugins/cpu-software/isa/assemble.ts'
import type { Argument } from '../../plugins/cpu-software/isa/operand.ts'
import type { GuestBuilder } from './guest.ts'

/** Offsets in shared_info of a 64-bit guest: vCPU 0's vcpu_info comes first. */
export const SHARED_INFO = { upcallPending: 0, pendingSel: 8, time: 32, pending: 0x800, mask: 0xa00 } as const
/** In vcpu_time_info. */
export const SYSTEM_TIME = 16

export function skipWithoutXen(g: GuestBuilder): void {
  g.emit('CMP', at('xen', { size: 8 }), 0)
    .jcc('NZ', 'on_xen')
    .skip('no Xen here')
    .label('on_xen')
}

/** A structure of `fields` [offset, bits, value] in the buffer `line`, cleared first. Its address is in RSI after. */
export function argument(
  g: GuestBuilder,
  bytes: number,
  fields: readonly (readonly [number, 8 | 16 | 32 | 64, Argument])[] = [],
): void {
  g.emit('MOV', 'edi', label('line'))
    .emit('XOR', 'eax', 'eax')
    .emit('MOV', 'ecx', bytes)
    .string('STOS', 8, 'REP')
  for (const [offset, bits, value] of fields) {
    if (typeof value === 'string') g.emit('MOV', mem({ disp: label('line', offset) }), value)
    else g.emit('MOV', mem({ disp: label('line', offset), size: bits }), value)
  }
  g.emit('MOV', 'esi', label('line'))
}

/** `call`.`op` with the structure in `line` must answer `expected` (an errno is negative). */
export function expectOp(g: GuestBuilder, what: string, call: number, op: number, expected: number): void {
  g.hypercall(call, op, label('line')).check(what, 'rax', expected)
}

/** EAX ← a field of `line`. */
export const result = (g: GuestBuilder, offset: number): GuestBuilder => {
  g.emit('MOV', 'eax', mem({ disp: label('line', offset) }))
  return g
}

/** CF ← the port in EAX is set in shared_info's bits at `offset`. */
export const testPort = (g: GuestBuilder, offset: number): GuestBuilder => {
  g.emit('BT', mem({ disp: label('shared_page', offset), size: 32 }), 'eax')
  return g
}
