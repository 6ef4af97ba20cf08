import fc from 'fast-check'
import t from 'tap'
import { readValue, showValue } from '../../src/cli/xenstore-value.ts'

t.test('any bytes survive being shown and read again', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) =>
      Buffer.from(bytes).equals(Buffer.from(readValue(showValue(bytes)))),
    ),
  )
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) =>
      Buffer.from(text).equals(Buffer.from(readValue(showValue(Buffer.from(text))))),
    ),
  )
})

t.test('what is shown holds no byte that a terminal obeys', async () => {
  fc.assert(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the point
    fc.property(fc.uint8Array(), (bytes) => !/[\u0000-\u001f\u007f-\u009f]/.test(showValue(bytes))),
  )
})

t.test('text is shown as it is, a backslash twice', async (t) => {
  t.equal(showValue(Buffer.from('für "x"')), 'für "x"')
  t.equal(showValue(Buffer.from('a\\x01\n')), 'a\\\\x01\\n')
  t.equal(showValue(Buffer.of(0, 0xff, 0x1b)), '\\x00\\xff\\x1b')
})

t.test('an escape that does not exist is refused', async (t) => {
  for (const text of ['\\q', 'a\\', '\\x1', '\\xzz']) {
    t.throws(() => readValue(text), { code: 'XT_XENSTORE_ESCAPE', exit: 2 }, text)
  }
})
