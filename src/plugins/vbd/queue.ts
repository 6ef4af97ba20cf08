/**
 * The ring service: takes requests, moves data between store and granted pages, answers. Knows no xenstore and no
 * files.
 *
 * Reads and writes are done at once on the calling thread, a few requests at a time; between them others have their
 * turn (`defer`). A flush goes on beside later requests; a write that must not overtake, or be overtaken, holds them.
 * Pages are mapped for each request: here that is a look into the grant table, so that persistent grants, which a
 * frontend may use, need no cache of ours.
 */
import type { Domid, Gref } from '../../base/brand.ts'
import type { Log } from '../../base/log.ts'
import { BLKIF_RSP, blkif_response } from '../../xen/abi/io/blkif.ts'
import type { Abi } from '../../xen/abi/struct.ts'
import { GrantError } from '../../xen/errors.ts'
import type { BackRing } from '../../xen/ring/ring.ts'
import type { DeviceTrace, GnttabClient } from '../../xen/xenhost.ts'
import { Gathering } from './gathering.ts'
import type { BlockStore, Pieces } from './medium.ts'
import { describeRequest, type Request, readRequest, type Segment } from './request.ts'

/** What is done before others have their turn: requests and bytes. */
const BATCH_REQUESTS = 32
const BATCH_BYTES = 1 << 20

export interface QueueOptions {
  readonly ring: BackRing
  readonly abi: Abi
  readonly gnttab: GnttabClient
  readonly otherend: Domid
  readonly readOnly: boolean
  /** Its store is replaced while the queue is held. */
  readonly medium: { readonly store: BlockStore }
  readonly notify: () => void
  /** Blocks until the guest's processor has nothing to do, at most so long; absent: that cannot be known. */
  readonly awaitIdle?: (ms: number) => void
  /** Runs a task after other events of this thread had their turn. */
  readonly defer: (task: () => void) => void
  readonly log: Log
  readonly trace: DeviceTrace | undefined
}

export class VbdQueue {
  readonly #options: QueueOptions
  /** What has been logged: a guest can repeat its mistakes as often as it likes. */
  readonly #said = new Set<string>()
  /** Flushes and held writes under way. */
  readonly #running = new Set<Promise<void>>()
  /** Above 0: a write is under way that nothing may overtake, or the medium is being replaced. */
  #holds = 0
  /** The turn that was put off. */
  #deferred: Promise<void> | undefined
  #closed = false
  readonly #gathering: Gathering
  /** Where each response is put together: the ring copies it. */
  readonly #response: DataView<ArrayBuffer>

  constructor(options: QueueOptions) {
    this.#options = options
    this.#gathering = new Gathering(options.awaitIdle)
    this.#response = new DataView(new ArrayBuffer(blkif_response.for(options.abi).size))
  }

  /** Serves what is in the ring; to be called for each event. */
  service(): void {
    const { ring, notify, log } = this.#options
    let requests = 0
    let hasWaited = false
    for (let bytes = 0; !this.#closed && this.#holds === 0; ) {
      if (ring.isBroken()) {
        // GUEST: more requests than the ring holds. As Xen's backends do: nothing more is served until it reconnects.
        log.warn('the guest claims more requests than its ring holds: disk stopped')
        this.#closed = true
        return
      }
      if (requests === BATCH_REQUESTS || bytes >= BATCH_BYTES) {
        this.#goOnLater()
        break
      }
      const entry = ring.takeRequest()
      if (entry === undefined) {
        if (requests > 0 && !hasWaited && this.#mayWait()) {
          hasWaited = true
          continue
        }
        if (ring.finalCheck()) continue
        break
      }
      requests++
      bytes += this.#start(entry)
    }
    if (requests > 0 && ring.pushResponses()) notify()
  }

  /** Holds answers back for a moment if that is of use; not while flushes need this thread to be answered. */
  #mayWait(): boolean {
    if (this.#running.size > 0 || !this.#gathering.wait()) return false
    this.#gathering.learn(this.#options.ring.unconsumed() > 0)
    return true
  }

  /** Takes nothing more; settles when what was begun is done. */
  async close(): Promise<void> {
    this.#closed = true
    await this.settled()
  }

  /** Settles when no request is half done and none that was sent waits. */
  async settled(): Promise<void> {
    while (this.#running.size > 0 || this.#deferred !== undefined)
      await Promise.all([...this.#running, this.#deferred])
  }

  /** Takes nothing more until `release`; settles when what was begun is done. */
  async hold(): Promise<void> {
    this.#holds++
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  release(): void {
    this.#holds--
    this.service()
  }

  #goOnLater(): void {
    this.#deferred ??= new Promise((settle) => {
      this.#options.defer(() => {
        this.#deferred = undefined
        this.service()
        settle()
      })
    })
  }

  /** Begins a request, and ends it unless a flush is part of it. Answers how many bytes were moved. */
  #start(entry: DataView): number {
    const { abi, readOnly, medium } = this.#options
    const { store } = medium
    const limits = {
      sectors: store.sectors,
      sectorSize: store.sectorSize,
      readOnly,
      canDiscard: store.discard !== undefined,
    }
    const request = readRequest(entry, abi, limits, (page, length) => this.#table(page, length))
    this.#options.trace?.request(() => describeRequest(request))
    switch (request.kind) {
      case 'unsupported':
        this.#answer(request, BLKIF_RSP.EOPNOTSUPP)
        return 0
      case 'wrong':
        this.#complain(`refused: ${request.why}`, 'refused')
        this.#answer(request, BLKIF_RSP.ERROR)
        return 0
      case 'flush':
        this.#later(request, 'flush', () => store.flush())
        return 0
      case 'discard':
        this.#answer(
          request,
          this.#attempt('discard', () => store.discard!.run(request.position, request.length)),
        )
        return 0
      case 'read':
        this.#answer(
          request,
          this.#attempt('read', () =>
            this.#withPages(request.segments, 'rw', (pieces) => store.read(pieces, request.position)),
          ),
        )
        return bytesOf(request.segments)
      case 'write': {
        const { segments, position, flushBefore, flushAfter } = request
        const write = () => this.#withPages(segments, 'ro', (pieces) => store.write(pieces, position))
        if (!flushBefore && !flushAfter) this.#answer(request, this.#attempt('write', write))
        else this.#hold(request, write, flushAfter)
        return bytesOf(segments)
      }
    }
  }

  #hold(request: Request, write: () => void, flushAfter: boolean): void {
    const { store } = this.#options.medium
    this.#holds++
    this.#later(request, 'flush and write', async () => {
      try {
        await store.flush()
        write()
        if (flushAfter) await store.flush()
      } finally {
        this.#holds--
      }
    })
  }

  /** Answers when the work is done, then goes on with the ring. */
  #later(request: Request, what: string, work: () => Promise<void>): void {
    const { ring, notify } = this.#options
    const running = work()
      .then(
        () => BLKIF_RSP.OKAY,
        (error: unknown) => this.#failed(what, error),
      )
      .then((status) => {
        this.#running.delete(running)
        this.#answer(request, status)
        if (ring.pushResponses()) notify()
        this.service()
      })
    this.#running.add(running)
  }

  #attempt(what: string, work: () => void): number {
    try {
      work()
      return BLKIF_RSP.OKAY
    } catch (error) {
      return this.#failed(what, error)
    }
  }

  #failed(what: string, error: unknown): number {
    if (error instanceof GrantError) {
      this.#complain(`${what} refused: ${error.message}`, `${what} grant`)
      return BLKIF_RSP.ERROR
    }
    const { code, message } = error as NodeJS.ErrnoException
    this.#complain(`${what} failed on the host: ${message}; the guest gets an error`, `${what} ${code}`)
    // The guest then stops asking for it.
    return code === 'EOPNOTSUPP' ? BLKIF_RSP.EOPNOTSUPP : BLKIF_RSP.ERROR
  }

  /** Logs each kind once. */
  #complain(line: string, kind: string): void {
    if (this.#said.has(kind)) return
    this.#said.add(kind)
    this.#options.log.warn(line)
  }

  /** Pages are given back before the request is answered: then the guest's processors know what was written. */
  #withPages(segments: readonly Segment[], access: 'ro' | 'rw', work: (pieces: Pieces) => void): void {
    const { gnttab, otherend } = this.#options
    using mapping = gnttab.map(
      otherend,
      segments.map(({ ref }) => ref),
      access,
    )
    work(joined(segments.map(({ from, to }, i) => mapping.pages[i]!.subarray(from, to))))
  }

  #table(ref: Gref, length: number): Uint8Array | undefined {
    const { gnttab, otherend } = this.#options
    const local = new Uint8Array(length)
    const [status] = gnttab.copy([
      { otherend, ref, offset: 0, length, direction: 'from-guest', local, localOffset: 0 },
    ])
    return status === 0 ? local : undefined
  }

  #answer({ id, operation }: Request, status: number): void {
    const { ring, abi } = this.#options
    const response = this.#response
    blkif_response.for(abi).write(response, 0, { id, operation, status })
    ring.putResponse(new Uint8Array(response.buffer))
  }
}

/** Pieces that lie one behind the other in memory become one: the system has less to look at. */
function joined(pieces: Pieces): Pieces {
  const out: Uint8Array<SharedArrayBuffer>[] = []
  for (const piece of pieces) {
    const last = out.at(-1)
    if (
      last !== undefined &&
      last.byteOffset + last.length === piece.byteOffset &&
      last.buffer === piece.buffer
    )
      out[out.length - 1] = new Uint8Array(last.buffer, last.byteOffset, last.length + piece.length)
    else out.push(piece)
  }
  return out
}

const bytesOf = (segments: readonly Segment[]): number =>
  segments.reduce((sum, { from, to }) => sum + to - from, 0)
