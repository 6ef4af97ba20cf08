/** A 9pfs frontend that a test drives: two rings in a scripted guest's memory, and a client of 9P2000.L over them. */
import {
  decodeReply,
  encodeRequest,
  HEADER_BYTES,
  MESSAGES,
  type MessageName,
  type Reply,
  type Request,
  readHeader,
} from '../../../src/plugins/9pfs/protocol.ts'
import {
  type FrontendScript,
  type Pending,
  type Random,
  type ScriptedFrontend,
  type ScriptedGuest,
  until,
} from '../../../src/testkit/index.ts'
import { FlexRing, writeFlexRefs } from '../../../src/xen/ring/flex-ring.ts'

const RINGS = 2
/** Each direction has 4096 bytes times 2^(order - 1). */
const ORDER = 2
const ROOT = 1
export const NO_FID = 0xffffffff
const NO_TAG = 0xffff
/** in_cons, in_prod, out_cons, out_prod. */
const INDICES = [0, 4, 64, 68]

interface Ring {
  readonly flex: FlexRing
  readonly port: ReturnType<ScriptedGuest['allocatePort']>
  readonly frames: readonly number[]
  readonly ref: number
}

export class P9Frontend implements ScriptedFrontend {
  readonly nodes: Readonly<Record<string, string>>
  readonly ports
  readonly words
  readonly ringFrames
  readonly msize: number
  readonly #guest: ScriptedGuest
  readonly #rings: readonly Ring[]
  readonly #answers = new Map<number, Uint8Array>()
  #tag = 0

  constructor(guest: ScriptedGuest) {
    this.#guest = guest
    this.#rings = Array.from({ length: RINGS }, () => makeRing(guest))
    this.ports = this.#rings.map(({ port }) => port)
    this.ringFrames = this.#rings.flatMap(({ frames }) => frames)
    this.words = this.#rings.flatMap(({ frames }) => INDICES.map((offset) => [frames[0]!, offset] as const))
    this.msize = this.#rings[0]!.flex.size
    const rings = this.#rings.map(({ ref, port }, n) => [
      [`ring-ref${n}`, String(ref)],
      [`event-channel-${n}`, String(port)],
    ])
    this.nodes = { version: '1', 'num-rings': String(RINGS), ...Object.fromEntries(rings.flat()) }
  }

  /** A session with the root at fid 1. */
  async connected(): Promise<void> {
    await this.must('version', { msize: this.msize, version: '9P2000.L' }, NO_TAG)
    await this.must('attach', { fid: ROOT, afid: NO_FID, uname: '', aname: '', uid: 0 })
  }

  /** Puts a request into a ring; its tag. */
  send<M extends MessageName>(name: M, request: Request<M>, tag = this.#tag++ % 1000): number {
    const bytes = encodeRequest(new Uint8Array(this.msize), name, tag, request)
    const ring = this.#rings[tag % RINGS]!
    if (ring.flex.writable() < bytes.length) throw new Error('the ring is full')
    ring.flex.write(bytes)
    this.#guest.notify(ring.port)
    return tag
  }

  /** Waits for the reply to a tag; a number is the error that came instead. */
  async reply<M extends MessageName>(name: M, tag: number): Promise<Reply<M> | number> {
    await until(`an answer to ${name}`, () => {
      this.#receive()
      return this.#answers.has(tag)
    })
    const bytes = this.#answers.get(tag)!
    this.#answers.delete(tag)
    return decodeReply(name, bytes)
  }
  /** Whether a reply has come that nobody has taken. */
  hasReply(tag: number): boolean {
    return this.#answers.has(tag)
  }
  call<M extends MessageName>(name: M, request: Request<M>, tag?: number): Promise<Reply<M> | number> {
    return this.reply(name, this.send(name, request, tag))
  }
  async must<M extends MessageName>(name: M, request: Request<M>, tag?: number): Promise<Reply<M>> {
    const reply = await this.call(name, request, tag)
    if (typeof reply === 'number') throw new Error(`${name}: error ${reply}`)
    return reply
  }

  #receive(): void {
    for (const { flex, port } of this.#rings) {
      const header = new Uint8Array(HEADER_BYTES)
      while (flex.peek(header) === HEADER_BYTES) {
        const { size, tag } = readHeader(header)
        if (flex.readable() < size) throw new Error('half a reply')
        const bytes = new Uint8Array(size)
        flex.read(bytes)
        this.#answers.set(tag, bytes)
        this.#guest.notify(port)
      }
    }
  }

  async exchange(): Promise<void> {
    const { mode } = await this.must('getattr', { fid: ROOT, mask: 0x7ffn })
    if ((mode & 0o170000) !== 0o040000) throw new Error(`the root is no directory but 0${mode.toString(8)}`)
  }

  begin(): Pending {
    const tags = Array.from({ length: 40 }, () => this.send('fsync', { fid: ROOT, datasync: 0 }))
    return {
      answered: async () => {
        for (const tag of tags) {
          const reply = await this.reply('fsync', tag)
          if (typeof reply === 'number') throw new Error(`fsync: error ${reply}`)
        }
      },
    }
  }

  hostile(random: Random): boolean {
    if (random.once(3)) this.#receiveBlindly()
    const ring = random.pick(this.#rings)
    const bytes = random.once(8) ? random.bytes(4 + random.below(40)) : this.#message(random)
    if (random.once(20)) new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, random.edge(), true)
    if (ring.flex.writable() < bytes.length) return false
    ring.flex.write(bytes)
    return true
  }
  #receiveBlindly(): void {
    for (const { flex } of this.#rings) flex.read(new Uint8Array(this.msize))
  }
  /** Well-formed, with fields that mean harm. */
  #message(random: Random): Uint8Array {
    const name = random.pick(Object.keys(MESSAGES) as MessageName[])
    const word = () => random.pick(HARMFUL)
    const values: Record<string, (field: string) => unknown> = {
      name: word,
      newName: word,
      names: () => Array.from({ length: random.below(4) }, word),
      data: () => random.bytes(random.below(100)),
    }
    const forms = MESSAGES[name].request as Readonly<Record<string, { name?: string }>>
    const request = Object.fromEntries(
      Object.keys(forms).map((field) => [field, (values[field] ?? (() => fieldValue(field, random)))(field)]),
    )
    return encodeRequest(new Uint8Array(this.msize), name, random.below(8), request as never)
  }
}

/** Names of which none may lead out of the folder. */
export const HARMFUL = [
  '..',
  '.',
  '',
  '/',
  '/etc',
  'a/../..',
  '../outside',
  'up',
  'absolute',
  'file',
  'sub',
  'a\0b',
  'x'.repeat(300),
  '\xff\xfe',
]

const TEXTS = new Set(['target', 'uname', 'aname', 'client', 'version'])
const WIDE = new Set(['mask', 'size', 'offset', 'start', 'length'])
const WIDE_TIME = /Sec$|Nsec$/

function fieldValue(field: string, random: Random): unknown {
  if (TEXTS.has(field)) return random.pick(['', '9P2000.L', '../outside', '/etc/passwd'])
  if (WIDE.has(field) || WIDE_TIME.test(field)) return random.edge64()
  if (/fid$|^directory$|^from$|^to$/i.test(field)) return random.below(6)
  return random.edge()
}

function makeRing(guest: ScriptedGuest): Ring {
  const frames = guest.allocate(1 + (1 << ORDER))
  const [index, ...data] = frames.map((gfn) => guest.bytes(gfn))
  const [ref, ...refs] = frames.map((gfn) => guest.grant(gfn))
  writeFlexRefs(index!, { order: ORDER, refs })
  return { flex: new FlexRing(index!, data, 'frontend'), port: guest.allocatePort(), frames, ref: ref! }
}

export const p9Script: FrontendScript = { name: '9pfs', open: (guest) => new P9Frontend(guest) }
