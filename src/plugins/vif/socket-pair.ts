/**
 * A pair of connected UNIX stream sockets with more room than Node's: what a burst has no room for, passt drops.
 * socketpair(2) and setsockopt(2) are called through koffi, an optional dependency; without it Node's own pair serves.
 */
import { closeSync } from 'node:fs'
import { Socket } from 'node:net'

const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_CLOEXEC = 0o2000000
const SOL_SOCKET = 1
const SO_SNDBUF = 7
const SO_SNDBUFFORCE = 32
/** More than the window of a TCP connection of Linux grows to by default. */
const ROOM_BYTES = 4 * 1024 * 1024

export interface RoomyPair {
  /** Our end. */
  readonly socket: Socket
  /** The other end, to be inherited by a child; `closeOther` once it is. */
  readonly otherFd: number
  closeOther(): void
}

export async function roomyPair(): Promise<RoomyPair | undefined> {
  try {
    const { default: koffi } = await import('koffi')
    const libc = koffi.load('libc.so.6')
    const socketpair = libc.func('int socketpair(int, int, int, _Out_ int *)')
    const setsockopt = libc.func('int setsockopt(int, int, int, const int *, uint32_t)')
    const ends = [0, 0]
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) !== 0) return undefined
    const [own, other] = ends as [number, number]
    // The force is root's; others get what the host allows (net.core.wmem_max).
    if (setsockopt(other, SOL_SOCKET, SO_SNDBUFFORCE, [ROOM_BYTES], 4) !== 0)
      setsockopt(other, SOL_SOCKET, SO_SNDBUF, [ROOM_BYTES], 4)
    return { socket: new Socket({ fd: own }), otherFd: other, closeOther: () => closeSync(other) }
  } catch {
    return undefined
  }
}
