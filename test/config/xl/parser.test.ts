import fc from 'fast-check'
import t from 'tap'
import { Problems } from '../../../src/config/problem.ts'
import type { Value } from '../../../src/config/xl/ast.ts'
import { parseSettings } from '../../../src/config/xl/parser.ts'
import { Source } from '../../../src/config/xl/source.ts'

type Plain = string | readonly Plain[]
const plain = (value: Value): Plain => (value.kind === 'atom' ? value.text : value.items.map(plain))

function parse(text: string) {
  const source = new Source(text, 'test.cfg')
  const problems = new Problems(source)
  const settings = parseSettings(source.text, problems)
  const values = Object.fromEntries([...settings].map(([name, { value }]) => [name, plain(value)]))
  const found = problems
    .sorted()
    .map(({ severity, code, line, column, near }) => ({ severity, code, line, column, near }))
  return { values, problems: found, settings, accepted: !problems.hasErrors }
}

t.test('strings, numbers and nested lists become text and lists', async (t) => {
  t.same(parse(`a = "x y"; b='it\\'s'\nc=[1, ["y",\n# why\n[]], 0x1f,]\n`).values, {
    a: 'x y',
    b: "it's",
    c: ['1', ['y', []], '0x1f'],
  })
})

t.test('the last assignment wins and += joins to the value in force', async (t) => {
  t.same(parse('a=1\na=2\ns="x"\ns+="y"\nl=["p"]\nl+=[["q"]]\nn+="new"').values, {
    a: '2',
    s: 'xy',
    l: ['p', ['q']],
    n: 'new',
  })
})

t.test('a string added to a list is refused at the string', async (t) => {
  t.match(parse('a=["x"]\na+="y"\n').problems, [
    { code: 'XT_CONFIG_MIXED_APPEND', line: 2, column: 4, near: '"y"' },
  ])
})

t.test('faults on several lines are all reported, with line and column', async (t) => {
  t.same(
    parse('a=\n  b = cd\nc=]\n').problems.map(({ line, column, near }) => [line, column, near]),
    [
      [1, 3, ''],
      [2, 7, 'cd'],
      [3, 3, ']'],
    ],
  )
})

t.test('after a fault three tokens pass before the next one is reported, as Bison has it', async (t) => {
  const lines = parse('a=\nb\nc\nd=1\ne=\n').problems.map(({ line }) => line)
  t.same(lines, [1, 5])
})

t.test('a word that is no token is one fault, whatever follows on its line', async (t) => {
  t.same(parse('kernel=/boot/vmlinuz ) (\nmemory=1').problems, [
    { severity: 'error', code: 'XT_CONFIG_LEXICAL', line: 1, column: 8, near: '/boot/vmlinuz' },
  ])
})

t.test('the column counts characters, not bytes or UTF-16 units', async (t) => {
  t.match(parse('a="\u{1f600}é" !x').problems, [{ line: 1, column: 8, near: '!x' }])
})

t.test('CR LF and a last comment without newline are accepted with one warning each', async (t) => {
  const { values, problems, accepted } = parse('a=1\r\nb=[\r\n2]\r\n# end')
  t.same(values, { a: '1', b: ['2'] })
  t.ok(accepted)
  t.same(
    problems.map(({ severity, code, line }) => [severity, code, line]),
    [
      ['warning', 'XT_CONFIG_CRLF', 1],
      ['warning', 'XT_CONFIG_OPEN_COMMENT', 4],
    ],
  )
})

t.test('a stray character is dropped as the very last byte only, with a warning', async (t) => {
  t.match(parse('a=1!').problems, [{ severity: 'warning', code: 'XT_CONFIG_STRAY_END', near: '!' }])
  t.match(parse('a=1!\n').problems, [{ severity: 'error', code: 'XT_CONFIG_LEXICAL', near: '!' }])
  t.match(parse('a=1é').problems, [{ severity: 'error', code: 'XT_CONFIG_LEXICAL', near: 'é' }])
})

t.test('escapes by number yield nothing, with a warning; other unknown escapes are refused', async (t) => {
  t.same(parse('a="x\\101y"').values, { a: 'xy' })
  t.match(parse('a="x\\101y"').problems, [
    { severity: 'warning', code: 'XT_CONFIG_NUMERIC_ESCAPE', column: 5, near: '\\101' },
  ])
  for (const sequence of ['\\x41', '\\7', '\\8', '\\q', '\\N']) {
    t.match(parse(`a="${sequence}"`).problems, [{ severity: 'error', code: 'XT_CONFIG_ESCAPE' }], sequence)
  }
})

t.test('a NUL is refused in a string and outside of one', async (t) => {
  t.match(parse('a="x\0y"').problems, [{ severity: 'error', code: 'XT_CONFIG_NUL' }])
  t.match(parse('\0\na=1').problems, [{ severity: 'error', code: 'XT_CONFIG_LEXICAL' }])
})

t.test('lists nested too deep are refused, at the bracket that is too much', async (t) => {
  t.ok(parse(`a=${'['.repeat(2000)}${']'.repeat(2000)}`).accepted)
  t.match(parse(`a=${'['.repeat(100_000)}`).problems, [{ code: 'XT_CONFIG_TOO_DEEP', column: 2003 }])
})

t.test('many additions to one list cost time in proportion to their number', async (t) => {
  const { values } = parse('a+=["x"]\n'.repeat(50_000))
  t.equal((values['a'] as readonly Plain[]).length, 50_000)
})

/** Texts that are nearly configurations. */
const pieces = fc.constantFrom(
  'name',
  'a.b_1',
  '12ab',
  '"s"',
  "'t'",
  '"',
  "'",
  '\\',
  '[',
  ']',
  ',',
  '=',
  '+=',
  '+',
  ';',
  '\n',
  '\r',
  ' ',
  '\t',
  '#',
  '# c\n',
  '\0',
  '-5',
  'X',
  'é',
  '\ufeff',
  '\udc80',
  '\\x41',
  '\\101',
  '"a\\n"',
  '(',
  ':',
)
const nearlyConfiguration = fc.array(pieces, { maxLength: 60 }).map((parts) => parts.join(''))

t.test(
  'any text ends in settings or in errors with a place in the text, never in an exception',
  async (t) => {
    fc.assert(
      fc.property(fc.oneof(nearlyConfiguration, fc.string({ unit: 'binary' })), (text) => {
        const lines = text.split('\n').length
        for (const { line, column } of parse(text).problems) {
          if (line < 1 || line > lines || column < 1) return false
        }
        return true
      }),
      { numRuns: 3000 },
    )
    t.pass()
  },
)

const quoted = fc
  .string()
  .map((text) => ({ text, source: `"${text.replace(/[\\"']/g, '\\$&').replaceAll('\n', '\\n')}"` }))
const value: fc.Arbitrary<{ readonly text: Plain; readonly source: string }> = fc.letrec<{
  value: { readonly text: Plain; readonly source: string }
}>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    quoted.filter(({ text }) => !text.includes('\0')),
    fc.array(tie('value'), { maxLength: 4 }).map((items) => ({
      text: items.map(({ text }) => text),
      source: `[\n${items.map(({ source }) => source).join(' ,\n')}${items.length > 0 ? ',' : ''}\n]`,
    })),
  ),
})).value

t.test('what is written by the rules is read back as it was meant', async (t) => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.stringMatching(/^[a-z][._0-9a-z]{0,8}$/), value, { noNullPrototype: true }),
      (settings) => {
        const source = Object.entries(settings)
          .map(([name, { source }]) => `${name} = ${source}\n`)
          .join('')
        const expected = Object.fromEntries(Object.entries(settings).map(([name, { text }]) => [name, text]))
        t.same(parse(source).values, expected)
      },
    ),
  )
})
