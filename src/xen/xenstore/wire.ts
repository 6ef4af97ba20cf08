/**
 * The xenstore wire protocol (io/xs_wire.h, docs/misc/xenstore.txt): packets, error names, and an
 * incremental reader. The same bytes travel over a guest's ring and over the UNIX socket.
 *
 * Paths, tokens and numbers are handled as latin-1 strings (one char per byte), values as bytes.
 */

/** enum xsd_sockmsg_type. */
export const XS = {
  CONTROL: 0,
  DIRECTORY: 1,
  READ: 2,
  GET_PERMS: 3,
  WATCH: 4,
  UNWATCH: 5,
  TRANSACTION_START: 6,
  TRANSACTION_END: 7,
  INTRODUCE: 8,
  RELEASE: 9,
  GET_DOMAIN_PATH: 10,
  WRITE: 11,
  MKDIR: 12,
  RM: 13,
  SET_PERMS: 14,
  WATCH_EVENT: 15,
  ERROR: 16,
  IS_DOMAIN_INTRODUCED: 17,
  RESUME: 18,
  SET_TARGET: 19,
  RESET_WATCHES: 21,
  DIRECTORY_PART: 22,
  GET_FEATURE: 23,
  SET_FEATURE: 24,
  GET_QUOTA: 25,
  SET_QUOTA: 26,
} as const

/** The error names of xs_wire.h: nothing else may be sent in an ERROR packet. */
export const XS_ERRORS = [
  'EINVAL',
  'EACCES',
  'EEXIST',
  'EISDIR',
  'ENOENT',
  'ENOMEM',
  'ENOSPC',
  'EIO',
  'ENOTEMPTY',
  'ENOSYS',
  'EROFS',
  'EBUSY',
  'EAGAIN',
  'EISCONN',
  'E2BIG',
  'EPERM',
] as const
export type XsErrno = (typeof XS_ERRORS)[number]

/** Bytes of struct xsd_sockmsg: type, req_id, tx_id, len, each a little-endian u32. */
export const HEADER_BYTES = 16
/** XENSTORE_PAYLOAD_MAX, in both directions. */
export const PAYLOAD_MAX = 4096
/** XENSTORE_ABS_PATH_MAX and XENSTORE_REL_PATH_MAX, without the closing NUL. */
export const ABS_PATH_MAX = 3072
export const REL_PATH_MAX = 2048

export interface Packet {
  readonly type: number
  readonly reqId: number
  readonly txId: number
  /** Private copy, at most PAYLOAD_MAX bytes. */
  readonly payload: Uint8Array
}

export function encodePacket(packet: Packet): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + packet.payload.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, packet.type, true)
  view.setUint32(4, packet.reqId, true)
  view.setUint32(8, packet.txId, true)
  view.setUint32(12, packet.payload.length, true)
  bytes.set(packet.payload, HEADER_BYTES)
  return bytes
}

/** Cuts a byte stream into packets. A header that announces too long a payload ends the stream for good. */
export class PacketReader {
  readonly #buffer = new Uint8Array(HEADER_BYTES + PAYLOAD_MAX)
  readonly #view = new DataView(this.#buffer.buffer)
  #filled = 0
  #broken = false

  /** True after a length over PAYLOAD_MAX: the peer lost the framing, the connection is of no more use. */
  get broken(): boolean {
    return this.#broken
  }

  /** Bytes of an unfinished packet that are held back. */
  get pending(): number {
    return this.#filled
  }

  /** Takes bytes of the stream and yields each packet that they complete. */
  *push(bytes: Uint8Array): Generator<Packet, void, void> {
    for (let at = 0; at < bytes.length && !this.#broken; ) {
      const count = Math.min(this.#missing(), bytes.length - at)
      this.#buffer.set(bytes.subarray(at, at + count), this.#filled)
      this.#filled += count
      at += count
      if (this.#filled < HEADER_BYTES) return
      // GUEST: the announced length is judged before a byte of payload is kept.
      if (this.#view.getUint32(12, true) > PAYLOAD_MAX) {
        this.#broken = true
        return
      }
      if (this.#missing() === 0) yield this.#take()
    }
  }

  #missing(): number {
    if (this.#filled < HEADER_BYTES) return HEADER_BYTES - this.#filled
    return HEADER_BYTES + this.#view.getUint32(12, true) - this.#filled
  }

  #take(): Packet {
    const packet = {
      type: this.#view.getUint32(0, true),
      reqId: this.#view.getUint32(4, true),
      txId: this.#view.getUint32(8, true),
      payload: this.#buffer.slice(HEADER_BYTES, this.#filled),
    }
    this.#filled = 0
    return packet
  }
}

/** Bytes as a string of the same length, one char per byte. */
export function latin1(bytes: Uint8Array): string {
  // At most PAYLOAD_MAX arguments: far below what an argument list may hold.
  let text = ''
  for (let at = 0; at < bytes.length; at += PAYLOAD_MAX) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + PAYLOAD_MAX) as unknown as number[])
  }
  return text
}

/** The reverse of `latin1`. */
export function latin1Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}

/** The NUL-terminated strings at the start of a payload; bytes after the last NUL are left out. */
export function strings(payload: Uint8Array): string[] {
  const parts = latin1(payload).split('\0')
  parts.pop()
  return parts
}

/** Exactly one string that ends with the payload, else undefined. */
export function oneString(payload: Uint8Array): string | undefined {
  const end = payload.indexOf(0)
  return end >= 0 && end === payload.length - 1 ? latin1(payload.subarray(0, end)) : undefined
}

/** Payload of NUL-terminated strings. */
export function stringsPayload(parts: readonly string[]): Uint8Array {
  return latin1Bytes(parts.map((part) => `${part}\0`).join(''))
}
