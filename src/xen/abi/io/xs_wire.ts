/** io/xs_wire.h: the xenstore page and the header of a message. */
import { bytes, struct, u32 } from '../struct.ts'

const H = 'io/xs_wire.h'

export const xsd_sockmsg = struct('xsd_sockmsg', H, {
  type: u32('XS_*'),
  req_id: u32('echoed in the reply'),
  tx_id: u32('0 outside a transaction'),
  len: u32('bytes that follow'),
})
export const XENSTORE_RING_SIZE = 1024
export const xenstore_domain_interface = struct('xenstore_domain_interface', H, {
  req: bytes(XENSTORE_RING_SIZE, 'guest to store'),
  rsp: bytes(XENSTORE_RING_SIZE, 'store to guest'),
  req_cons: u32(),
  req_prod: u32(),
  rsp_cons: u32(),
  rsp_prod: u32(),
  server_features: u32('XENSTORE_SERVER_FEATURE_*'),
  connection: u32('XENSTORE_CONNECTED, XENSTORE_RECONNECT'),
  error: u32('XENSTORE_ERROR_*'),
})
