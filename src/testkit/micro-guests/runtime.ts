/**
 * What every micro-guest carries once it runs (start.ts): exceptions, console, verdict, hypercalls.
 *
 * On Xen the console is the ring of HVM params 17 and 18. Elsewhere text goes to port 0xE9 and the end to QEMU's
 * isa-debug-exit (port 0xF4), so that a guest's own correctness can be tried on another machine. Routines keep all
 * registers but RAX (and what they return).
 */
import { type Assembler, at, label, mem } from '../../plugins/cpu-software/isa/assemble.ts'
import { HVM_PARAM } from '../../xen/abi/hvm/params.ts'
import { xencons_interface } from '../../xen/abi/io/console.ts'
import { SELECTOR } from './layout.ts'

/** Hypercalls and sub-operations the runtime makes (xen.h, sched.h, event_channel.h, hvm_op.h). */
export const CALL = {
  memory_op: 12,
  set_timer_op: 15,
  xen_version: 17,
  grant_table_op: 20,
  vcpu_op: 24,
  sched_op: 29,
  event_channel_op: 32,
  hvm_op: 34,
} as const
export const SCHEDOP = { yield: 0, block: 1, shutdown: 2, poll: 3 } as const
const EVTCHNOP_send = 4
const HVMOP_get_param = 1
const XENMEM_add_to_physmap = 7
const DOMID_SELF = 0x7ff0
/** Offset of the 2-level pending bits in shared_info, the same for 32 and 64 bits. */
export const EVTCHN_PENDING = 0x800

const SAVED = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
] as const
/** Offsets in the frame that handlers find in RDI. */
export const FRAME = {
  rax: 112,
  vector: 120,
  error: 128,
  rip: 136,
  cs: 144,
  rflags: 152,
  rsp: 160,
  ss: 168,
} as const
const VECTORS_WITH_ERROR = new Set([8, 10, 11, 12, 13, 14, 17, 21, 29, 30])

export function emitRoutines(a: Assembler): void {
  emitExceptions(a)
  emitConsole(a)
  emitNumbers(a)
  emitEnd(a)
  emitHypercall(a)
  a.align(8).label('runtime_data')
  for (const name of [
    'start_info',
    'failures',
    'xen',
    'vendor_amd',
    'console',
    'console_port',
    'recover',
    'recover_rsp',
  ]) {
    a.label(name).u64(0)
  }
  for (const name of [
    'fault_vector',
    'fault_error',
    'fault_address',
    'fault_rip',
    'fault_cs',
    'fault_rflags',
    'fault_rsp',
  ]) {
    a.label(name).u64(0)
  }
  a.label('hvm_param').zero(16).label('shutdown_reason').u64(0)
  a.label('poll').zero(24).label('physmap').zero(24)
}

function emitExceptions(a: Assembler): void {
  a.align(16, 0xcc).label('stubs')
  for (let vector = 0; vector < 256; vector++) {
    const start = a.here
    if (!VECTORS_WITH_ERROR.has(vector)) a.emit('PUSH', 0)
    a.emit('PUSH', vector).emit('JMP', label('exception'))
    a.org(start + 16)
  }
  a.label('exception')
  for (const register of SAVED) a.emit('PUSH', register)
  a.emit('MOV', 'ecx', mem({ base: 'rsp', disp: FRAME.vector }))
  a.emit('MOV', 'rax', mem({ index: 'rcx', scale: 8, disp: label('handlers') }))
  a.emit('TEST', 'rax', 'rax').jcc('Z', 'unhandled')
  a.emit('MOV', 'rdi', 'rsp').emit('CALL', 'rax')
  a.label('exception_return')
  for (const register of SAVED.toReversed()) a.emit('POP', register)
  a.emit('ADD', 'rsp', 16).emit('IRETQ')

  a.label('unhandled')
    .emit('CMP', at('recover', { size: 64 }), 0)
    .jcc('Z', 'unexpected')

  // A fault that was expected: note it down, go on at `recover` in ring 0 with the registers of the fault.
  const notes = [
    ['vector', FRAME.vector],
    ['error', FRAME.error],
    ['rip', FRAME.rip],
    ['cs', FRAME.cs],
    ['rflags', FRAME.rflags],
    ['rsp', FRAME.rsp],
  ] as const
  for (const [name, offset] of notes)
    a.emit('MOV', 'rax', mem({ base: 'rsp', disp: offset })).emit('MOV', at(`fault_${name}`), 'rax')
  a.emit('MOV', 'rax', 'cr2').emit('MOV', at('fault_address'), 'rax')
  a.emit('XOR', 'eax', 'eax')
    .emit('XCHG', at('recover'), 'rax')
    .emit('MOV', mem({ base: 'rsp', disp: FRAME.rip }), 'rax')
  a.emit('MOV', 'rax', at('recover_rsp')).emit('MOV', mem({ base: 'rsp', disp: FRAME.rsp }), 'rax')
  a.emit('MOV', mem({ base: 'rsp', disp: FRAME.cs, size: 64 }), SELECTOR.kernelCode)
  a.emit('MOV', mem({ base: 'rsp', disp: FRAME.ss, size: 64 }), SELECTOR.kernelData)
  a.emit('MOV', mem({ base: 'rsp', disp: FRAME.rflags, size: 64 }), 2)
  a.jmp('exception_return')

  a.label('unexpected').emit('MOV', 'rbp', 'rsp')
  const fields = [
    ['unexpected exception ', FRAME.vector],
    [', error ', FRAME.error],
    [', rip ', FRAME.rip],
  ] as const
  for (const [i, [, offset]] of fields.entries()) {
    a.emit('LEA', 'rsi', at(`unexpected_${i}`)).emit('CALL', label('puts'))
    a.emit('MOV', 'rax', mem({ base: 'rbp', disp: offset })).emit('CALL', label('put_hex'))
  }
  a.emit('LEA', 'rsi', at('unexpected_3'))
    .emit('CALL', label('puts'))
    .emit('MOV', 'rax', 'cr2')
    .emit('CALL', label('put_hex'))
  a.emit('LEA', 'rsi', at('newline')).emit('CALL', label('puts'))
  a.emit('INC', at('failures', { size: 64 })).jmp('verdict')
  for (const [i, [text]] of [...fields, [', cr2 '] as const].entries())
    a.label(`unexpected_${i}`).ascii(`${text}\0`)
  a.label('newline').ascii('\r\n\0').align(16)
}

/** find_console; putc (AL), puts (RSI, NUL-ended), flush: tells the other end; getc: waits for a byte, in AL. */
function emitConsole(a: Assembler): void {
  const offsetof = (field: 'in' | 'out' | 'in_cons' | 'in_prod' | 'out_cons' | 'out_prod') =>
    xencons_interface.offsetof(field)
  a.label('find_console')
    .emit('PUSH', 'rbx')
    .emit('PUSH', 'rcx')
    .emit('PUSH', 'rdx')
    .emit('PUSH', 'rdi')
    .emit('PUSH', 'rsi')
  a.emit('XOR', 'eax', 'eax')
    .emit('CPUID')
    .emit('CMP', 'ebx', 0x68747541)
    .emit('SETE', at('vendor_amd', { size: 8 }))
  a.emit('MOV', 'eax', 0x40000000)
    .emit('CPUID')
    .emit('CMP', 'ebx', 0x566e6558)
    .emit('SETE', at('xen', { size: 8 }))
  a.jcc('NE', 'no_xen')
  a.emit('MOV', 'edi', HVM_PARAM.CONSOLE_PFN)
    .emit('CALL', label('get_param'))
    .emit('SHL', 'rax', 12)
    .emit('MOV', at('console'), 'rax')
  a.emit('MOV', 'edi', HVM_PARAM.CONSOLE_EVTCHN)
    .emit('CALL', label('get_param'))
    .emit('MOV', at('console_port'), 'rax')
  emitMapSharedInfo(a)
  a.jmp('console_found')
  // A PC has interrupt controllers that are on.
  a.label('no_xen').emit('MOV', 'al', 0xff).emit('OUT', 0x21, 'al').emit('OUT', 0xa1, 'al')
  a.label('console_found')
  for (const register of ['rsi', 'rdi', 'rdx', 'rcx', 'rbx'] as const) a.emit('POP', register)
  a.emit('RET')

  a.label('get_param')
    .emit('MOV', at('hvm_param', { size: 16 }), DOMID_SELF)
    .emit('MOV', at('hvm_param', { addend: 4, size: 32 }), 'edi')
  a.emit('MOV', 'edi', HVMOP_get_param)
    .emit('LEA', 'rsi', at('hvm_param'))
    .emit('MOV', 'eax', CALL.hvm_op)
    .emit('CALL', label('hypercall'))
  a.emit('MOV', 'rax', at('hvm_param', { addend: 8 })).emit('RET')

  a.label('putc').emit('PUSH', 'rbx').emit('PUSH', 'rcx').emit('PUSH', 'rdx')
  a.emit('MOV', 'rbx', at('console')).emit('TEST', 'rbx', 'rbx').jcc('NZ', 'putc_ring')
  a.emit('OUT', 0xe9, 'al').jmp('putc_done')
  a.label('putc_ring')
    .emit('MOV', 'ecx', mem({ base: 'rbx', disp: offsetof('out_prod') }))
    .emit('MOV', 'edx', 'ecx')
  a.emit('SUB', 'edx', mem({ base: 'rbx', disp: offsetof('out_cons') }))
    .emit('CMP', 'edx', 2048)
    .jcc('B', 'putc_room')
  a.emit('PUSH', 'rax')
    .emit('CALL', label('flush'))
    .emit('CALL', label('yield'))
    .emit('POP', 'rax')
    .jmp('putc_ring')
  a.label('putc_room').emit('MOV', 'edx', 'ecx').emit('AND', 'edx', 2047)
  a.emit('MOV', mem({ base: 'rbx', index: 'rdx', disp: offsetof('out') }), 'al')
  // ORDER: the byte is there before the index that announces it (x86 stores are seen in order).
  a.emit('INC', 'ecx').emit('MOV', mem({ base: 'rbx', disp: offsetof('out_prod') }), 'ecx')
  a.label('putc_done').emit('POP', 'rdx').emit('POP', 'rcx').emit('POP', 'rbx').emit('RET')

  a.label('puts').emit('PUSH', 'rsi')
  a.label('puts_next')
    .string('LODS', 8)
    .emit('TEST', 'al', 'al')
    .jcc('Z', 'puts_done')
    .emit('CALL', label('putc'))
    .jmp('puts_next')
  a.label('puts_done').emit('POP', 'rsi').jmp('flush')

  a.label('flush')
    .emit('CMP', at('console', { size: 64 }), 0)
    .jcc('Z', 'flushed')
    .emit('PUSH', 'rdi')
    .emit('PUSH', 'rsi')
  a.emit('MOV', 'edi', EVTCHNOP_send)
    .emit('LEA', 'rsi', at('console_port'))
    .emit('MOV', 'eax', CALL.event_channel_op)
  a.emit('CALL', label('hypercall')).emit('POP', 'rsi').emit('POP', 'rdi').label('flushed').emit('RET')

  a.label('yield').emit('PUSH', 'rdi').emit('MOV', 'edi', SCHEDOP.yield).emit('MOV', 'eax', CALL.sched_op)
  a.emit('CALL', label('hypercall')).emit('POP', 'rdi').emit('RET')

  // Waits with SCHEDOP_poll. ORDER: the event is cleared before the ring is looked at, so that none is missed.
  a.label('getc')
    .emit('PUSH', 'rbx')
    .emit('PUSH', 'rcx')
    .emit('PUSH', 'rdx')
    .emit('PUSH', 'rsi')
    .emit('PUSH', 'rdi')
  a.emit('MOV', 'rbx', at('console'))
  a.label('getc_look').emit('MOV', 'eax', at('console_port', { size: 32 }))
  a.emitWith(
    { lock: true },
    'BTR',
    mem({ disp: label('shared_page', EVTCHN_PENDING), size: 32 }),
    'eax',
  ).emit('MOV', 'ecx', mem({ base: 'rbx', disp: offsetof('in_cons') }))
  a.emit('CMP', 'ecx', mem({ base: 'rbx', disp: offsetof('in_prod') })).jcc('NE', 'getc_take')
  a.emit('LEA', 'rax', at('console_port'))
    .emit('MOV', at('poll'), 'rax')
    .emit('MOV', at('poll', { addend: 8, size: 32 }), 1)
  a.emit('MOV', 'edi', SCHEDOP.poll)
    .emit('LEA', 'rsi', at('poll'))
    .emit('MOV', 'eax', CALL.sched_op)
    .emit('CALL', label('hypercall'))
    .jmp('getc_look')
  a.label('getc_take').emit('MOV', 'edx', 'ecx').emit('AND', 'edx', 1023)
  a.emit('MOVZX', 'eax', mem({ base: 'rbx', index: 'rdx', disp: offsetof('in'), size: 8 }))
  a.emit('INC', 'ecx').emit('MOV', mem({ base: 'rbx', disp: offsetof('in_cons') }), 'ecx')
  a.emit('PUSH', 'rax').emit('CALL', label('flush')).emit('POP', 'rax')
  for (const register of ['rdi', 'rsi', 'rdx', 'rcx', 'rbx'] as const) a.emit('POP', register)
  a.emit('RET')
}

/** Puts shared_info where the page `shared_page` was. */
function emitMapSharedInfo(a: Assembler): void {
  a.emit('MOV', at('physmap', { size: 16 }), DOMID_SELF)
    .emit('MOV', 'eax', label('shared_page'))
    .emit('SHR', 'eax', 12)
  a.emit('MOV', at('physmap', { addend: 16 }), 'rax')
    .emit('MOV', 'edi', XENMEM_add_to_physmap)
    .emit('LEA', 'rsi', at('physmap'))
  a.emit('MOV', 'eax', CALL.memory_op).emit('CALL', label('hypercall'))
}

/** put_hex: RAX as 16 digits, keeping RAX. report: RSI text, RAX got, RCX expected; counts a failure. */
function emitNumbers(a: Assembler): void {
  a.label('put_hex')
    .emit('PUSH', 'rax')
    .emit('PUSH', 'rcx')
    .emit('PUSH', 'rdx')
    .emit('MOV', 'rdx', 'rax')
    .emit('MOV', 'ecx', 16)
  a.label('hex_digit').emit('ROL', 'rdx', 4).emit('MOV', 'eax', 'edx').emit('AND', 'eax', 15)
  a.emit('ADD', 'al', 0x30).emit('CMP', 'al', 0x3a).jcc('B', 'hex_put').emit('ADD', 'al', 0x27)
  a.label('hex_put').emit('CALL', label('putc')).emit('DEC', 'ecx').jcc('NZ', 'hex_digit')
  a.emit('POP', 'rdx').emit('POP', 'rcx').emit('POP', 'rax').emit('RET')

  a.label('report')
    .emit('PUSH', 'rax')
    .emit('CALL', label('puts'))
    .emit('LEA', 'rsi', at('report_got'))
    .emit('CALL', label('puts'))
  a.emit('POP', 'rax')
    .emit('CALL', label('put_hex'))
    .emit('LEA', 'rsi', at('report_expected'))
    .emit('CALL', label('puts'))
  a.emit('MOV', 'rax', 'rcx')
    .emit('CALL', label('put_hex'))
    .emit('LEA', 'rsi', at('newline'))
    .emit('CALL', label('puts'))
  a.emit('INC', at('failures', { size: 64 })).emit('RET')
  a.label('report_got').ascii(': got \0').label('report_expected').ascii(', expected \0')
}

/** verdict prints PASS or FAIL and ends the guest; skip (RSI: reason) prints SKIP and ends it. */
function emitEnd(a: Assembler): void {
  a.label('verdict')
    .emit('LEA', 'rsi', at('pass'))
    .emit('CMP', at('failures', { size: 64 }), 0)
    .jcc('Z', 'say_verdict')
  a.emit('LEA', 'rsi', at('fail')).label('say_verdict').emit('CALL', label('puts'))
  a.label('power_off')
    .emit('CLI')
    .emit('CMP', at('xen', { size: 8 }), 0)
    .jcc('Z', 'debug_exit')
  a.emit('MOV', 'edi', SCHEDOP.shutdown)
    .emit('LEA', 'rsi', at('shutdown_reason'))
    .emit('MOV', 'eax', CALL.sched_op)
    .emit('CALL', label('hypercall'))
  a.label('debug_exit').emit('MOV', 'al', 0).emit('OUT', 0xf4, 'al')
  a.label('halted').emit('HLT').jmp('halted')
  a.label('skip')
    .emit('CALL', label('puts'))
    .emit('LEA', 'rsi', at('skipped'))
    .emit('CALL', label('puts'))
    .jmp('power_off')
  a.label('pass')
    .ascii('PASS\r\n\0')
    .label('fail')
    .ascii('FAIL\r\n\0')
    .label('skipped')
    .ascii('\r\nSKIP\r\n\0')
}

/** hypercall: number in EAX, arguments in RDI RSI RDX R10 R8 R9 as Xen wants them. */
function emitHypercall(a: Assembler): void {
  a.label('hypercall')
    .emit('CMP', at('vendor_amd', { size: 8 }), 0)
    .jcc('NE', 'hypercall_amd')
    .emit('VMCALL')
    .emit('RET')
  a.label('hypercall_amd').emit('VMMCALL').emit('RET')
}
