import fc from 'fast-check'
import t from 'tap'
import { Scrollback } from '../../../src/plugins/console/scrollback.ts'

const pieces = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 30 })
const concat = (parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts))

t.test('keeps exactly the newest bytes of what was appended', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 64 }), pieces, (capacity, parts) => {
      const scrollback = new Scrollback(capacity)
      for (const part of parts) scrollback.append(part)
      const all = concat(parts)
      const { bytes } = scrollback.read(0, Number.MAX_SAFE_INTEGER)
      return (
        scrollback.end === all.length &&
        Buffer.compare(bytes, all.subarray(Math.max(0, all.length - capacity))) === 0
      )
    }),
  )
})

t.test(
  'a reader that comes by now and then sees every byte once, or is told how many it missed',
  async () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 64 }),
        fc.array(fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 0, max: 50 })), {
          maxLength: 40,
        }),
        (capacity, steps) => {
          const scrollback = new Scrollback(capacity)
          const printed = concat(steps.map(([bytes]) => bytes))
          let position = 0
          const check = (most: number) => {
            const piece = scrollback.read(position, most)
            const from = position + piece.skipped
            position = piece.next
            return (
              piece.next === from + piece.bytes.length &&
              piece.bytes.length <= most &&
              Buffer.compare(piece.bytes, printed.subarray(from, piece.next)) === 0
            )
          }
          for (const [bytes, most] of steps) {
            scrollback.append(bytes)
            if (!check(most)) return false
          }
          return check(Number.MAX_SAFE_INTEGER) && position === printed.length
        },
      ),
    )
  },
)

t.test('appending more than the capacity at once keeps the tail', async (t) => {
  const scrollback = new Scrollback(4)
  scrollback.append(Buffer.from('abcdefghij'))
  t.same(Buffer.from(scrollback.read(0, 100).bytes).toString(), 'ghij')
  t.equal(scrollback.read(0, 100).skipped, 6)
  t.equal(scrollback.start, 6)
})

t.test('a piece is a copy: later output does not change it', async (t) => {
  const scrollback = new Scrollback(4)
  scrollback.append(Buffer.from('abcd'))
  const { bytes } = scrollback.read(0, 4)
  scrollback.append(Buffer.from('wxyz'))
  t.same(Buffer.from(bytes).toString(), 'abcd')
})
