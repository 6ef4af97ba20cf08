/** io/console.h: the page of a PV console. `out` is what the guest writes. */
import { bytes, struct, u32 } from '../struct.ts'

export const xencons_interface = struct('xencons_interface', 'io/console.h', {
  in: bytes(1024, 'to the guest'),
  out: bytes(2048, 'from the guest'),
  in_cons: u32(),
  in_prod: u32(),
  out_cons: u32(),
  out_prod: u32(),
})
