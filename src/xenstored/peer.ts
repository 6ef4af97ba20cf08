/** Moves the bytes between a socket and a connection of the store, no faster than either side takes them. */
import type { Socket } from 'node:net'
import type { Connection } from '../xen/xenstore/connection.ts'
import { type Packet, PacketReader } from '../xen/xenstore/wire.ts'
import type { Xenstore } from '../xen/xenstore/xenstore.ts'

/** Requests of one connection that are executed before others get their turn. */
const MAX_TURN = 64

/** Serves `connection` on `socket` until either ends. `first`: bytes that were read from the socket already. */
export function servePeer(
  xenstore: Xenstore,
  connection: Connection,
  socket: Socket,
  first: Uint8Array,
): void {
  const reader = new PacketReader()
  const inbox: Packet[] = []
  let blocked = false

  const flush = () => {
    while (!blocked) {
      const bytes = connection.take()
      if (bytes === undefined) return
      blocked = !socket.write(bytes)
    }
  }
  const work = () => {
    const turn = inbox.splice(0, connection.wantsRequests ? MAX_TURN : 0)
    socket.cork()
    while (turn.length > 0 && connection.wantsRequests) xenstore.handle(connection, turn.shift()!)
    socket.uncork()
    inbox.unshift(...turn)
    if (inbox.length === 0) socket.resume()
    else {
      socket.pause()
      // Nobody else should wait for all of a flood; a connection that is full goes on when it drains.
      if (connection.wantsRequests) setImmediate(work)
    }
    if (reader.broken) connection.close('sent a packet with too long a payload')
  }
  const receive = (bytes: Uint8Array) => {
    inbox.push(...reader.push(bytes))
    work()
  }

  connection.onOutput = flush
  connection.onClose = (why) => {
    if (why !== 'disconnected') xenstore.log(`connection of domain ${connection.domid} ended: ${why}`)
    socket.destroySoon()
  }
  socket.on('data', receive)
  socket.on('drain', () => {
    blocked = false
    flush()
    work()
  })
  socket.on('error', () => {})
  socket.on('close', () => xenstore.disconnect(connection))
  flush()
  if (first.length > 0) receive(first)
}
