import fc from 'fast-check'
import t from 'tap'
import { numberPrefix, readNumber, toInt, unsignedLong } from '../../../src/config/xl/number.ts'

t.test('whole numbers are read with base 0, blanks and a sign before them', async (t) => {
  t.equal(readNumber('512'), 512n)
  t.equal(readNumber(' \t-5'), -5n)
  t.equal(readNumber('0x1F'), 31n)
  t.equal(readNumber('010'), 8n)
  t.equal(readNumber('0'), 0n)
})

t.test('what is not wholly a number is none', async (t) => {
  for (const text of ['', ' ', '5 ', '0x', '089', '1x2', '1.5', '5M', '- 5', '++5'])
    t.equal(readNumber(text), 'not a number', text)
})

t.test('the range of 64 bits is judged before what follows the number', async (t) => {
  t.equal(readNumber('9223372036854775807'), 2n ** 63n - 1n)
  t.equal(readNumber('9223372036854775808'), 'out of range')
  t.equal(readNumber('-9223372036854775808'), -(2n ** 63n))
  t.equal(readNumber('99999999999999999999zz'), 'out of range')
  t.equal(readNumber(`${'0'.repeat(1000)}7`), 7n)
  t.equal(readNumber('9'.repeat(1_000_000)), 'out of range')
})

t.test('strtoul saturates and wraps negative numbers around', async (t) => {
  t.same(unsignedLong('-1x', 10), { value: 2n ** 64n - 1n, length: 2 })
  t.same(unsignedLong('99999999999999999999', 10), { value: 2n ** 64n - 1n, length: 20 })
  t.same(unsignedLong('zz', 16), { value: 0n, length: 0 })
  t.same(unsignedLong('0xfz', 16), { value: 15n, length: 3 })
})

t.test('atoi takes what is there and makes an int of it', async (t) => {
  t.equal(toInt('3x'), 3)
  t.equal(toInt('yes'), 0)
  t.equal(toInt('4294967297'), 1)
})

t.test('every 64-bit number is read back from decimal, hexadecimal and octal', async (t) => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (number) => {
      const [sign, size] = number < 0n ? ['-', -number] : ['', number]
      t.equal(readNumber(`${sign}${size}`), number)
      t.equal(readNumber(`${sign}0x${size.toString(16)}`), number)
      t.equal(readNumber(`${sign}0${size.toString(8)}`), number)
    }),
  )
})

t.test('a prefix is never longer than its text and is itself a number', async (t) => {
  const nearlyNumber = fc
    .array(fc.constantFrom('0', 'x', '7', '9', 'f', '-', '+', ' ', '.'))
    .map((parts) => parts.join(''))
  fc.assert(
    fc.property(nearlyNumber, fc.constantFrom(0 as const, 10 as const, 16 as const), (text, base) => {
      const { value, length } = numberPrefix(text, base)
      return (
        length <= text.length && (length === 0 || numberPrefix(text.slice(0, length), base).value === value)
      )
    }),
  )
  t.pass()
})
