import fc from 'fast-check'
import t from 'tap'
import {
  BROKEN,
  BytePipe,
  type ByteRingLayout,
  CONSOLE_RING,
  type SharedBytes,
  XENSTORE_RING,
} from '../../../src/xen/ring/byte-ring.ts'

const PAGE = 4096
const BASE = PAGE

/** Three pages; the ring is the middle one, so that a stray byte would be seen beside it. */
function page(): SharedBytes {
  const buffer = new SharedArrayBuffer(3 * PAGE)
  return { u8: new Uint8Array(buffer), i32: new Int32Array(buffer) }
}

const layouts: [string, ByteRingLayout][] = [
  ['xenstore', XENSTORE_RING],
  ['console', CONSOLE_RING],
]

for (const [name, layout] of layouts) {
  t.test(
    `${name}: whatever is written at one end comes out at the other, in order, from any start index`,
    async (t) => {
      const step = fc.record({
        end: fc.constantFrom('frontend' as const, 'backend' as const),
        write: fc.uint8Array({ maxLength: 1500 }),
        read: fc.nat(1500),
      })
      const start = fc.constantFrom(0, 1, 1023, 0x7fffff00, 0x7fffffff, 0xfffffc01, 0xffffffff)
      fc.assert(
        fc.property(start, fc.array(step, { maxLength: 40 }), (index, steps) => {
          const memory = page()
          for (const stream of [layout.toBackend, layout.toFrontend]) {
            memory.i32[(BASE + stream.cons) >> 2] = index | 0
            memory.i32[(BASE + stream.prod) >> 2] = index | 0
          }
          const pipes = {
            frontend: new BytePipe(memory, BASE, layout, 'frontend'),
            backend: new BytePipe(memory, BASE, layout, 'backend'),
          }
          const flying: Record<'frontend' | 'backend', number[]> = { frontend: [], backend: [] }
          for (const { end, write, read } of steps) {
            const other = end === 'frontend' ? 'backend' : 'frontend'
            const size = end === 'frontend' ? layout.toBackend.size : layout.toFrontend.size
            const wrote = pipes[end].write(write)
            if (wrote !== Math.min(write.length, size - flying[end].length)) return false
            flying[end].push(...write.subarray(0, wrote))
            if (pipes[other].readable() !== flying[end].length || pipes[end].unread() !== flying[end].length)
              return false
            if (pipes[end].writable() !== size - flying[end].length) return false
            const into = new Uint8Array(read)
            const got = pipes[other].read(into)
            const expected = flying[end].splice(0, read)
            if (Buffer.compare(into.subarray(0, got), Buffer.from(expected)) !== 0) return false
          }
          return true
        }),
        { numRuns: 150 },
      )
      t.pass()
    },
  )

  t.test(
    `${name}: any contents of the page give counts within the ring or BROKEN, and no byte beside the page changes`,
    async (t) => {
      const index = fc.oneof(fc.integer(), fc.integer({ min: -3000, max: 3000 }))
      fc.assert(
        fc.property(index, index, index, index, fc.nat(3000), (a, b, c, d, length) => {
          const memory = page()
          const { toBackend, toFrontend } = layout
          const at = (offset: number) => (BASE + offset) >> 2
          memory.i32[at(toBackend.cons)] = a
          memory.i32[at(toBackend.prod)] = b
          memory.i32[at(toFrontend.cons)] = c
          memory.i32[at(toFrontend.prod)] = d
          const pipe = new BytePipe(memory, BASE, layout)
          const readable = pipe.readable()
          const writable = pipe.writable()
          const got = pipe.read(new Uint8Array(length))
          const put = pipe.write(new Uint8Array(length).fill(0xee))
          return (
            readable === ((b - a) >>> 0 > toBackend.size ? BROKEN : (b - a) >>> 0) &&
            writable === ((d - c) >>> 0 > toFrontend.size ? BROKEN : toFrontend.size - ((d - c) >>> 0)) &&
            got === (readable === BROKEN ? BROKEN : Math.min(readable, length)) &&
            put === (writable === BROKEN ? BROKEN : Math.min(writable, length)) &&
            memory.u8.subarray(0, BASE).every((byte) => byte === 0) &&
            memory.u8.subarray(BASE + PAGE).every((byte) => byte === 0)
          )
        }),
        { numRuns: 500 },
      )
      t.pass()
    },
  )
}

t.test('a broken ring leaves the page as it is', async (t) => {
  const memory = page()
  memory.i32[(BASE + XENSTORE_RING.toBackend.prod) >> 2] = 1025
  memory.i32[(BASE + XENSTORE_RING.toFrontend.prod) >> 2] = -1
  const before = memory.u8.slice()
  const pipe = new BytePipe(memory, BASE, XENSTORE_RING)
  t.equal(pipe.read(new Uint8Array(10)), BROKEN)
  t.equal(pipe.write(new Uint8Array(10)), BROKEN)
  t.equal(pipe.unread(), BROKEN)
  t.same(memory.u8, before)
})

t.test('reset empties a ring that was broken', async (t) => {
  const memory = page()
  memory.i32.fill(-77, BASE >> 2, (BASE + PAGE) >> 2)
  memory.i32[(BASE + CONSOLE_RING.toBackend.prod) >> 2] = 5
  memory.i32[(BASE + CONSOLE_RING.toBackend.cons) >> 2] = 9
  const pipe = new BytePipe(memory, BASE, CONSOLE_RING)
  t.equal(pipe.readable(), BROKEN)
  pipe.reset()
  t.equal(pipe.readable(), 0)
  t.equal(pipe.writable(), CONSOLE_RING.toFrontend.size)
})

t.test('offsets are those of the public headers', async (t) => {
  const memory = page()
  const backend = new BytePipe(memory, BASE, CONSOLE_RING)
  backend.write(new Uint8Array([65]))
  t.equal(memory.u8[BASE], 65, 'in[0]')
  t.equal(memory.i32[(BASE + 0xc04) >> 2], 1, 'in_prod')
  const guest = new BytePipe(memory, BASE, CONSOLE_RING, 'frontend')
  guest.write(new Uint8Array([66]))
  t.equal(memory.u8[BASE + 0x400], 66, 'out[0]')
  t.equal(memory.i32[(BASE + 0xc0c) >> 2], 1, 'out_prod')
})
