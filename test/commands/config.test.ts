import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { root, xt, xtHome } from './fake-domain.ts'

// Each command is a process of its own; a busy machine is slow at starting them.
t.setTimeout(300_000)

const GOOD = 'name = "web"\ntype = "pvh"\nkernel = "/boot/vmlinuz"\nmemory = 256\n'
const BAD = `name = "web"
type = "pvh"
kernel = "/boot/vmlinuz"
memory = "512M"
vcpu = 2
disk = [ "nosuch=1" ]
vif = [ "mac=zz" ]
`

t.test('config check names every problem at its place, with the line and a caret', async (t) => {
  const home = xtHome(t)
  const file = join(home, 'web.cfg')
  writeFileSync(file, BAD)
  const { status, stdout, stderr } = await xt(home, 'config', 'check', file)
  t.equal(status, 1)
  t.equal(stderr, '')
  t.ok(stdout.includes(`${file}:4:10: warning: \`memory' takes a number`), stdout)
  t.ok(stdout.includes('    memory = "512M"\n             ^~~~~~\n'), stdout)
  t.ok(stdout.includes(`${file}:5:1: warning:`), stdout)
  t.match(stdout, /:6:\d+: error: disk:/)
  t.match(stdout, /:7:\d+: warning: vif:/)
  t.match(stdout, /^1 error, \d+ warnings$/m)
  t.notMatch(stdout, '\u001b')
})

t.test('config check --json has a stable shape', async (t) => {
  const home = xtHome(t)
  const file = join(home, 'web.cfg')
  writeFileSync(file, `${GOOD}vcpu = 2\n`)
  const { status, stdout } = await xt(home, 'config', 'check', '--json', file)
  t.equal(status, 0)
  const { problems, ...rest } = JSON.parse(stdout)
  t.same(rest, { file, errors: 0, warnings: 1 })
  t.match(problems, [
    {
      severity: 'warning',
      code: 'XT_CONFIG_UNKNOWN_KEY',
      source: file,
      line: 5,
      column: 1,
      message: /vcpu/,
      hint: /vcpus/,
    },
  ])
  t.same(Object.keys(problems[0]), ['severity', 'code', 'source', 'line', 'column', 'message', 'hint'])
})

t.test('config check is content with a good file, and --strict with no doubtful one', async (t) => {
  const home = xtHome(t)
  const file = join(home, 'web.cfg')
  writeFileSync(file, GOOD)
  t.same(await xt(home, 'config', 'check', file), { status: 0, stdout: `${file}: no problems\n`, stderr: '' })
  t.equal((await xt(home, 'config', 'ch', file, 'vcpu=2')).status, 0)
  const strict = await xt(home, 'config', 'check', '--strict', file, 'vcpu=2')
  t.equal(strict.status, 1)
  t.match(strict.stdout, /^command line:1:1: error: /)
})

t.test('what is no file to check is refused in a sentence', async (t) => {
  const home = xtHome(t)
  const directory = await xt(home, 'config', 'check', home)
  t.same(directory, {
    status: 3,
    stdout: '',
    stderr: `Failed to read config file: ${home}: Is a directory\n`,
  })
  const missing = await xt(home, 'config', 'check')
  t.equal(missing.status, 2)
  t.match(missing.stderr, /^'xt config check' requires at least 1 argument\.\nxt config check --help/)
  const two = await xt(home, 'config', 'show', 'a.cfg', 'b.cfg')
  t.equal(two.status, 2)
  t.match(two.stderr, /^'xt config show' does not take "b\.cfg"\./)
})

t.test('config show fills in the defaults, for people and as JSON', async (t) => {
  const home = xtHome(t)
  const file = join(home, 'web.cfg')
  writeFileSync(file, GOOD)
  const people = await xt(home, 'config', 'show', file, 'vcpus=2')
  t.match(people, { status: 0, stderr: '' })
  t.match(people.stdout, /^name: "web"\n/)
  t.match(people.stdout, /^memoryKiB: 262144\n(?:.*\n)*vcpus: 2\n/m)
  t.notMatch(people.stdout, /libxl|disks/)
  const { stdout } = await xt(home, 'config', 'show', file, '--json')
  t.match(JSON.parse(stdout), {
    name: 'web',
    type: 'pvh',
    memoryKiB: 262144,
    vcpus: 1,
    disks: [],
    onReboot: 'restart',
  })
})

t.test('config show of a file that cannot run here says why', async (t) => {
  const home = xtHome(t)
  const file = join(home, 'web.cfg')
  writeFileSync(file, BAD)
  const { status, stdout, stderr } = await xt(home, 'config', 'show', file)
  t.equal(status, 1)
  t.equal(stdout, '')
  t.match(stderr, /:6:\d+: error: disk:/)
})

t.test('config schema prints the schemas of the package', async (t) => {
  const home = xtHome(t)
  const text = (name: string) => readFileSync(join(root, 'config-schema', `${name}.json`), 'utf8')
  t.equal((await xt(home, 'config', 'schema')).stdout, text('domain'))
  t.equal((await xt(home, 'config', 'schema', 'settings')).stdout, text('settings'))
  t.equal((await xt(home, 'config', 'schema', 'nosuch')).status, 2)
})

t.test('a topic without its verb shows what there is', async (t) => {
  const { status, stdout } = await xt(xtHome(t), 'config')
  t.equal(status, 1)
  t.match(stdout, /config check.*config schema.*config show/s)
  const wrong = await xt(xtHome(t), 'config', 'chekc')
  t.same(wrong, {
    status: 1,
    stdout: '',
    stderr: 'command not implemented: config chekc\nDid you mean config check?\n',
  })
})
