import t from 'tap'
import { readCreateArguments } from '../../src/cli/create-arguments.ts'
import { parseEscapeKey } from '../../src/cli/escape-key.ts'

t.test('the file and settings may stand in any order', async (t) => {
  t.same(readCreateArguments(['a.cfg', 'memory=64']), { file: 'a.cfg', settings: ['memory=64'] })
  t.same(readCreateArguments(['memory=64', 'a.cfg', 'name="x"']), {
    file: 'a.cfg',
    settings: ['memory=64', 'name="x"'],
  })
  t.same(readCreateArguments(['vcpus=2'], 'b.cfg'), { file: 'b.cfg', settings: ['vcpus=2'] })
  t.same(
    readCreateArguments(['a.cfg'], 'b.cfg'),
    { file: 'b.cfg', settings: [], passedOver: 'a.cfg' },
    '-f wins, as with xl',
  )
  t.throws(() => readCreateArguments(['a.cfg', 'b.cfg']), { code: 'XT_TOO_MANY_ARGUMENTS', exit: 2 })
  t.throws(() => readCreateArguments(['memory=64']), { code: 'XT_NO_CONFIG_FILE', exit: 6 })
})

t.test('the escape key is a character or a control character', async (t) => {
  t.same(parseEscapeKey('^]'), { byte: 0x1d, label: 'Ctrl-]' })
  t.same(parseEscapeKey('^o'), { byte: 0x0f, label: 'Ctrl-O' })
  t.same(parseEscapeKey('~'), { byte: 0x7e, label: '~' })
  for (const text of ['', 'ab', '^^^', 'é']) {
    t.throws(() => parseEscapeKey(text), { code: 'XT_ESCAPE_KEY', exit: 2 })
  }
})
