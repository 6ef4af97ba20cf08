/**
 * Domain ids: ever increasing from 1 as Xen gives them, wrapping before the reserved ones, never one in use.
 * The next one to try is in the store, so that all processes on a host share the count.
 */
import { type Domid, domid } from '../../base/brand.ts'
import type { XenstoreClient } from '../xenhost.ts'
import { domainPath } from './node-path.ts'
import { absentIs } from './xenstore-error.ts'

/** xen.h, DOMID_FIRST_RESERVED. */
const END = 0x7ff0
const COUNTER = '/tool/xt/next-domid'

/** Takes the next free id and makes its empty /local/domain/N at once, so that nobody else takes it. */
export async function allocateDomid(client: XenstoreClient): Promise<Domid> {
  return await client.transaction(async (tx) => {
    const used = new Set(await client.directory('/local/domain', tx).catch(absentIs<string[]>([])))
    const counter = Number(await client.read(COUNTER, tx).catch(absentIs('1')))
    const first = Number.isInteger(counter) && counter >= 1 && counter < END ? counter : 1
    for (let tried = 0, id = first; tried < END - 1; tried++, id = id + 1 < END ? id + 1 : 1) {
      if (used.has(`${id}`)) continue
      await client.write(COUNTER, `${id + 1 < END ? id + 1 : 1}`, tx)
      await client.mkdir(domainPath(id), tx)
      await client.setPerms(domainPath(id), ['n0', `r${id}`], tx)
      return domid(id)
    }
    throw new Error('all domain ids are in use')
  })
}
