import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { root, xt, xtHome } from './fake-domain.ts'

// Each command is a process of its own; a busy machine is slow at starting them.
t.setTimeout(300_000)

/** args, status and first line of standard error; statuses as recorded from xl 4.17. */
const CASES: readonly (readonly [string, number, string])[] = [
  ['pause', 2, "'xt pause' requires at least 1 argument."],
  ['rename con', 2, "'xt rename' requires at least 2 arguments."],
  ['list -q', 2, "option `q' not supported."],
  ['list one two', 1, "'xt list' takes one domain, not 2."],
  ['pause nosuch', 1, 'nosuch is an invalid domain identifier: no such domain'],
  ['destroy 999', 1, '999 is an invalid domain identifier: no such domain'],
  ['console nosuch', 1, 'nosuch is an invalid domain identifier: no such domain'],
  ['shutdown', 1, 'You must specify -a or a domain id.'],
  ['reboot', 1, 'You must specify -a or a domain id.'],
  ['domname abc', 1, 'Invalid domain id: abc'],
  ['domname 999', 1, "Can't get domain name of domain id '999', maybe this domain does not exist."],
  ['nosuchcommand', 1, 'command not implemented: nosuchcommand'],
  ['-x list', 1, 'unknown global option: -x'],
  ['-N list', 1, 'command does not implement -N (dryrun) option: list'],
  ['create', 6, 'Config file not specified'],
  ['create a b', 2, '\'xt create\' does not take "b".'],
  ['create /nosuch/file.cfg', 3, 'Failed to read config file: /nosuch/file.cfg: No such file or directory'],
  ['create -f', 2, 'option --defconfig expects a value'],
  ['console -n x con', 2, '--number: expected an integer but received: x'],
  ['console -e abc con', 2, 'escape character "abc" is neither one character nor ^X'],
]

for (const [line, status, sentence] of CASES) {
  t.test(`xt ${line}: ${sentence}`, async (t) => {
    const result = await xt(xtHome(t), ...line.split(' '))
    t.equal(result.stderr.replace(/^Parsing config from .*\n/, '').split('\n')[0], sentence)
    t.equal(result.status, status)
    t.equal(result.stdout, '')
  })
}

t.test('an error with --json is an object on standard output, beside the sentence', async (t) => {
  const { status, stdout, stderr } = await xt(xtHome(t), 'pause', 'nosuch', '--json')
  t.equal(status, 1)
  t.match(stderr, /^nosuch is an invalid domain identifier/)
  t.match(JSON.parse(stdout), { error: { code: 'XT_NO_SUCH_DOMAIN', message: /^nosuch/ } })
})

t.test('xt -N network-attach shows what it would attach', async (t) => {
  const { status, stdout } = await xt(xtHome(t), '-N', 'network-attach', '0', 'mac=00:16:3e:00:00:01')
  t.equal(status, 0)
  t.equal(stdout, 'vif: {\n    "mac": "00:16:3e:00:00:01"\n}\n\n')
})

t.test('help of a command is the same in three spellings', async (t) => {
  const home = xtHome(t)
  const first = await xt(home, 'help', 'pause')
  t.match(first.stdout, /Pause execution of a domain/)
  t.equal(first.status, 0)
  t.same(await xt(home, 'pause', '--help'), first)
  t.same(await xt(home, 'pau', '-h'), first)
})

t.test(
  'an output that cannot be written is one sentence, whatever was to be written',
  {
    skip: !existsSync('/dev/full') && 'there is no /dev/full',
  },
  async (t) => {
    for (const args of [['list'], ['list', '--json'], ['--help'], ['help', 'list'], ['config', 'schema']]) {
      const full = openSync('/dev/full', 'w')
      const { status, stderr } = spawnSync(process.execPath, [join(root, 'bin/dev.js'), ...args], {
        stdio: ['ignore', full, 'pipe'],
        encoding: 'utf8',
        env: { ...process.env, XT_HOME: xtHome(t) },
      })
      closeSync(full)
      t.equal(stderr, 'standard output: no space left on device\n', args.join(' '))
      t.equal(status, 1)
    }
  },
)

t.test('a short command loads no large module that it has no use for', async (t) => {
  const home = xtHome(t)
  const loaded = join(home, 'loaded')
  const hooks = `import { appendFileSync } from 'node:fs'
    import { registerHooks } from 'node:module'
    registerHooks({
      resolve(specifier, context, next) {
        const found = next(specifier, context)
        appendFileSync(${JSON.stringify(loaded)}, found.url + '\\n')
        return found
      },
    })`
  const args = [
    '--import',
    `data:text/javascript,${encodeURIComponent(hooks)}`,
    join(root, 'bin/dev.js'),
    'list',
  ]
  const env = { ...process.env, XT_HOME: home }
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', env })
  t.same({ status, stderr }, { status: 0, stderr: '' })
  const urls = readFileSync(loaded, 'utf8').split('\n')
  t.ok(urls.some((url) => url.endsWith('/src/commands/list.ts')))
  const large =
    /node_modules\/(?:zod|cosmiconfig|vscode-jsonrpc|execa|wsl-utils)\/|^node:crypto$|libxl-layout/
  t.same(
    urls.filter((url) => large.test(url)),
    [],
  )
})
