/** A packet of the store in one line, for `xt trace`: `WRITE device/vbd/51712/state 4`, `answer READ 2`. */
import { latin1, type Packet, XS } from '../xen/xenstore/wire.ts'

const NAMES = new Map<number, string>(Object.entries(XS).map(([name, type]) => [type, name]))
/** Bytes of a payload that are shown. */
const SHOWN = 200

export function describePacket({ type, txId, payload }: Packet, isAnswer: boolean): string {
  const name = NAMES.get(type) ?? `request ${type}`
  const words = latin1(payload.subarray(0, SHOWN))
    .split('\0')
    .filter((word, n, all) => word !== '' || n < all.length - 1)
    // GUEST: anything may stand in a value.
    .map((word) => word.replace(/[^\x20-\x7e]/g, '?'))
  const more = payload.length > SHOWN ? ' ...' : ''
  const prefix = isAnswer && type !== XS.WATCH_EVENT ? 'answer ' : ''
  return `${prefix}${name}${txId === 0 ? '' : ` tx ${txId}`} ${words.join(' ')}${more}`.trimEnd()
}
