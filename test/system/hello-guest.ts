/**
 * A guest with a driver for examples/plugin-hello: grants two pages, makes a port, publishes them in xenstore over its
 * ring, asks for a greeting, prints it and says PASS. It waits without hypercalls: traces of it are short and whole.
 */
import { at, label, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { buildGuest, type GuestBuilder } from '../../src/testkit/micro-guests/guest.ts'
import { CALL } from '../../src/testkit/micro-guests/runtime.ts'
import { argument, expectOp } from '../../src/testkit/micro-guests/xen.ts'
import { HVM_PARAM } from '../../src/xen/abi/hvm/params.ts'
import { encodePacket, latin1Bytes, XS } from '../../src/xen/xenstore/wire.ts'

const EVTCHNOP_send = 4
const EVTCHNOP_alloc_unbound = 6
const XENMEM_add_to_physmap = 7
const XENMAPSPACE_grant_table = 1
const DOMID_SELF = 0x7ff0
const RING_REF = 8
const DATA_REF = 9
/** struct xenstore_domain_interface. */
const REQ_PROD = 0x804
const RSP_CONS = 0x808
const RSP_PROD = 0x80c
/** Header and "OK". */
const WRITTEN_BYTES = 16 + 3

/** Below the device's path; the port's two digits are put in by the guest. */
const WRITES = { 'ring-ref': String(RING_REF), 'event-channel': '00', state: '3' } as const

export const buildHelloGuest = (): Uint8Array => buildGuest(body)

function body(g: GuestBuilder): void {
  grantPages(g)
  // req_event, rsp_event; one request: id 1, the data page, its room.
  for (const [offset, value] of [
    [4, 1],
    [12, 1],
    [64, 1],
    [68, DATA_REF],
    [72, 4096],
    [0, 1],
  ] as const)
    g.emit('MOV', mem({ disp: label('ring', offset), size: 32 }), value)
  publish(g)
  g.label('unanswered')
    .emit('PAUSE')
    .emit('CMP', mem({ disp: label('ring', 8), size: 32 }), 1)
    .jcc('NE', 'unanswered')
  g.emit('MOV', 'esi', label('data')).call('puts').print('\r\n')
  g.jmp('greeted')
  storeRoutine(g)
  for (const [key, value] of Object.entries(WRITES)) {
    const payload = latin1Bytes(`device/hello/0/${key}\0${value}`)
    const packet = encodePacket({ type: XS.WRITE, reqId: 0, txId: 0, payload })
    g.label(packetOf(key)).bytes(...packet)
  }
  g.label('store_port').u32(0)
  for (const page of ['grants', 'ring', 'data']) g.align(4096).label(page).zero(4096)
  g.label('greeted')
}

const packetOf = (key: string) => `packet_${key.replace('-', '_')}`
const packetBytes = (key: keyof typeof WRITES) => 16 + `device/hello/0/${key}\0${WRITES[key]}`.length

/** Puts the grant table at `grants` and grants `ring` and `data` to domain 0. */
function grantPages(g: GuestBuilder): void {
  g.emit('MOV', at('physmap', { size: 16 }), DOMID_SELF)
    .emit('MOV', at('physmap', { addend: 4, size: 32 }), XENMAPSPACE_grant_table)
    .emit('MOV', at('physmap', { addend: 8, size: 64 }), 0)
  g.emit('MOV', 'eax', label('grants'))
    .emit('SHR', 'eax', 12)
    .emit('MOV', at('physmap', { addend: 16 }), 'rax')
  g.emit('MOV', 'esi', label('physmap'))
    .hypercall(CALL.memory_op, XENMEM_add_to_physmap, 'rsi')
    .check('the grant table', 'rax', 0)
  for (const [ref, page] of [
    [RING_REF, 'ring'],
    [DATA_REF, 'data'],
  ] as const) {
    g.emit('MOV', 'eax', label(page))
      .emit('SHR', 'eax', 12)
      .emit('MOV', mem({ disp: label('grants', 8 * ref + 4) }), 'eax')
    g.emit('MOV', mem({ disp: label('grants', 8 * ref), size: 32 }), 1)
  }
}

/** A port for the backend; then the nodes, state last. */
function publish(g: GuestBuilder): void {
  argument(g, 8, [
    [0, 16, DOMID_SELF],
    [2, 16, 0],
  ])
  expectOp(g, 'a port', CALL.event_channel_op, EVTCHNOP_alloc_unbound, 0)
  g.emit('MOV', 'eax', mem({ disp: label('line', 4) }))
    .emit('XOR', 'edx', 'edx')
    .emit('MOV', 'ecx', 10)
  g.emit('DIV', 'ecx').emit('ADD', 'al', 0x30).emit('ADD', 'dl', 0x30)
  const digits = packetBytes('event-channel') - 2
  g.emit('MOV', mem({ disp: label(packetOf('event-channel'), digits) }), 'al')
  g.emit('MOV', mem({ disp: label(packetOf('event-channel'), digits + 1) }), 'dl')
  g.emit('MOV', 'edi', HVM_PARAM.STORE_EVTCHN).call('get_param').emit('MOV', at('store_port'), 'eax')
  g.emit('MOV', 'edi', HVM_PARAM.STORE_PFN).call('get_param').emit('SHL', 'rax', 12).emit('MOV', 'r14', 'rax')
  for (const key of Object.keys(WRITES) as (keyof typeof WRITES)[])
    g.emit('MOV', 'esi', label(packetOf(key)))
      .emit('MOV', 'ecx', packetBytes(key))
      .call('store_write')
}

/** store_write: sends ECX bytes at RSI over the ring at R14 and waits for the answer to a WRITE. */
function storeRoutine(g: GuestBuilder): void {
  g.label('store_write')
    .emit('MOV', 'edx', mem({ base: 'r14', disp: REQ_PROD }))
    .emit('AND', 'edx', 1023)
  g.emit('MOV', 'al', mem({ base: 'rsi', size: 8 })).emit('MOV', mem({ base: 'r14', index: 'rdx' }), 'al')
  g.emit('INC', mem({ base: 'r14', disp: REQ_PROD, size: 32 }))
    .emit('INC', 'rsi')
    .emit('DEC', 'ecx')
    .jcc('NZ', 'store_write')
  g.emit('LEA', 'rsi', at('store_port')).hypercall(CALL.event_channel_op, EVTCHNOP_send, 'rsi')
  g.label('store_wait')
    .emit('PAUSE')
    .emit('MOV', 'eax', mem({ base: 'r14', disp: RSP_PROD }))
  g.emit('SUB', 'eax', mem({ base: 'r14', disp: RSP_CONS }))
    .emit('CMP', 'eax', WRITTEN_BYTES)
    .jcc('B', 'store_wait')
  g.emit('MOV', 'edx', mem({ base: 'r14', disp: RSP_CONS })).emit('AND', 'edx', 1023)
  g.emit('MOVZX', 'eax', mem({ base: 'r14', index: 'rdx', disp: 0x400, size: 8 })).check(
    'a node',
    'rax',
    XS.WRITE,
  )
  g.emit('MOV', 'eax', mem({ base: 'r14', disp: RSP_PROD })).emit(
    'MOV',
    mem({ base: 'r14', disp: RSP_CONS }),
    'eax',
  )
  g.emit('RET')
}
