/**
 * The protocol between the two ends. The frontend publishes `ring-ref` (a page with a request/response ring) and
 * `event-channel`; the backend publishes `max-length`. A request names a granted page; the backend writes the greeting
 * into it and answers with the number of bytes, or a negative errno.
 */
import { i32, struct, u32 } from 'xt/xen'

export const hello_request = struct('hello_request', '', {
  id: u32('echoed in the response'),
  gref: u32('granted page, to be written'),
  room: u32('bytes there are in it'),
})
export const hello_response = struct('hello_response', '', {
  id: u32(),
  status: i32('bytes of the greeting, or a negative errno'),
})

/** An entry of the ring is as large as the larger of the two. */
export const RING = { entryBytes: hello_request.size }
export const PAGE_BYTES = 4096
export const EINVAL = 22
