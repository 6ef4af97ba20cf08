import fc from 'fast-check'
import t from 'tap'
import { readCommandLine } from '../../src/cli/verbs.ts'

const COMMANDS = ['create', 'console', 'destroy', 'domid', 'domname', 'list', 'pause', 'unpause']
const read = (...argv: string[]) => readCommandLine(argv, COMMANDS)

t.test('a command is found by its name or by any beginning that no other command shares', async (t) => {
  fc.assert(
    fc.property(fc.constantFrom(...COMMANDS), fc.nat(10), (command, length) => {
      const word = command.slice(0, 1 + length)
      const fits = COMMANDS.filter((other) => other.startsWith(word))
      try {
        return read(word).command === command && (fits.length === 1 || word === command)
      } catch (error) {
        return fits.length > 1 && (error as { code: string }).code === 'XT_AMBIGUOUS_COMMAND'
      }
    }),
  )
  t.throws(() => read('dom', '1'), { code: 'XT_AMBIGUOUS_COMMAND', message: /domid, domname/ })
})

t.test('a slip of the finger is answered with what was meant', async (t) => {
  t.throws(() => read('cretae'), { code: 'XT_NO_SUCH_COMMAND', hint: 'Did you mean create?' })
  t.throws(() => read('unpuase'), { code: 'XT_NO_SUCH_COMMAND', hint: 'Did you mean unpause?' })
  t.throws(() => read('frobnicate'), { code: 'XT_NO_SUCH_COMMAND', hint: '`xt help` lists the commands.' })
})

t.test('global options of xl may stand before the command; -N is a dry run', async (t) => {
  t.same(read('-v', 'list', '-v'), { command: 'list', args: ['-v'] })
  t.same(read('-vTf', 'list'), { command: 'list', args: [] })
  t.same(read('-N', 'cre', 'a.cfg'), { command: 'create', args: ['a.cfg', '--dryrun'] })
  t.throws(() => read('-N', 'list'), { code: 'XT_NO_DRY_RUN' })
  t.throws(() => read('-q', 'list'), { code: 'XT_GLOBAL_OPTION' })
})

t.test('a topic and its verb are two words, and both may be short', async (t) => {
  const commands = [...COMMANDS, 'config:check', 'config:show', 'config-update', 'plugins:list']
  const read = (...argv: string[]) => readCommandLine(argv, commands)
  t.same(read('config', 'check', 'a.cfg'), { command: 'config:check', args: ['a.cfg'] })
  t.same(read('config', 'sh', '-x'), { command: 'config:show', args: ['-x'] })
  t.same(read('config'), { command: 'config', args: [] })
  t.same(read('config', '--help'), { command: 'config', args: ['--help'] })
  t.same(read('help', 'config', 'check'), { command: 'config:check', args: ['--help'] })
  t.same(read('conf', 'a.cfg'), { command: 'config-update', args: ['a.cfg'] }, 'as with xl')
  t.same(read('plug', 'li'), { command: 'plugins:list', args: [] })
  t.throws(() => read('config', 'shwo'), { code: 'XT_NO_SUCH_COMMAND', hint: 'Did you mean config show?' })
})

t.test('help in all its spellings', async (t) => {
  t.same(read(), { command: undefined, args: [] })
  for (const words of [['help'], ['--help'], ['-h']]) {
    t.same(read(...words), { command: undefined, args: ['--help'] })
  }
  t.same(read('help', 'pau'), { command: 'pause', args: ['--help'] })
  t.same(read('he', 'pau'), { command: 'pause', args: ['--help'] })
  t.throws(() => read('help', 'nosuch'), { code: 'XT_NO_SUCH_COMMAND' })
})
