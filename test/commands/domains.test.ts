import { join } from 'node:path'
import t from 'tap'
import { Terminal } from '../cli/terminal.ts'
import { FakeDomain, root, UUID, xt, xtHome } from './fake-domain.ts'

// Each command is a process of its own; a busy machine is slow at starting them.
t.setTimeout(300_000)

const HEADER = 'Name                                        ID   Mem VCPUs\tState\tTime(s)\n'
const CON = 'con                                          1   256     1     -b----      37.4\n'

t.test('list prints the table of xl, and -v -Z -c -n its further columns', async (t) => {
  const home = xtHome(t)
  t.same(await xt(home, 'list'), { status: 0, stdout: HEADER, stderr: '' })
  await FakeDomain.start(t, home)
  t.same(await xt(home, 'list'), { status: 0, stdout: HEADER + CON, stderr: '' })
  t.same(await xt(home, 'list', 'con'), { status: 0, stdout: HEADER + CON, stderr: '' })
  t.same(await xt(home, 'lis', '1'), { status: 0, stdout: HEADER + CON, stderr: '' })
  t.match((await xt(home, 'list', '-v')).stdout, new RegExp(`${UUID} {8}- {16}-\n$`))
})

t.test('list --json has a stable shape', async (t) => {
  const home = xtHome(t)
  await FakeDomain.start(t, home, 'con', { state: 'shutdown', shutdownReason: 3 })
  const { stdout } = await xt(home, 'list', '--json')
  t.same(JSON.parse(stdout), [
    {
      name: 'con',
      domid: 1,
      memoryMiB: 256,
      vcpus: 1,
      state: '---sc-',
      cpuSeconds: 37.44,
      uuid: UUID,
      shutdownReason: 3,
    },
  ])
})

t.test('a domain process that does not answer is listed all the same, with a note', async (t) => {
  const home = xtHome(t)
  const silent = await FakeDomain.start(t, home, 'silent')
  await FakeDomain.start(t, home, 'con')
  silent.answers = false
  const { status, stdout, stderr } = await xt(home, 'list')
  t.equal(status, 0)
  t.match(stdout, /^silent {39}1 {5}0 {5}0 {5}------ {7}0\.0\ncon {42}2 {3}256/m)
  t.equal(stderr, 'Domain 1 (silent) does not answer.\n')
})

t.test('list -l prints the configuration as libxl does', async (t) => {
  const home = xtHome(t)
  await FakeDomain.start(t, home)
  const { stdout } = await xt(home, 'list', '-l')
  t.ok(stdout.startsWith('[\n    {\n        "domid": 1,\n        "config": {\n            "c_info": {\n'))
  t.ok(stdout.includes('                "type.pvh": {\n\n                },\n'))
  t.ok(stdout.endsWith(']\n\n'))
  t.equal(JSON.parse(stdout)[0].config.b_info.cmdline, 'console=hvc0')
})

t.test('verbs reach the domain by name and by number, and are silent', async (t) => {
  const home = xtHome(t)
  const domain = await FakeDomain.start(t, home)
  for (const args of [
    ['pause', 'con'],
    ['unpause', '1'],
    ['destroy', 'con'],
  ] as const) {
    t.same(await xt(home, ...args), { status: 0, stdout: '', stderr: '' })
  }
  t.same(domain.requests, ['pause', 'unpause', 'destroy'])
})

t.test('domid, domname and rename', async (t) => {
  const home = xtHome(t)
  await FakeDomain.start(t, home)
  t.equal((await xt(home, 'domid', 'con')).stdout, '1\n')
  t.equal((await xt(home, 'domname', '1')).stdout, 'con\n')
  t.equal((await xt(home, 'rename', 'con', 'lift')).status, 0)
  t.equal((await xt(home, 'domname', '1')).stdout, 'lift\n')
  const gone = await xt(home, 'domid', 'con')
  t.equal(gone.status, 1)
  t.equal(gone.stderr, "Can't get domid of domain name 'con', maybe this domain does not exist.\n")
})

t.test('shutdown -w waits until the guest has shut down and says so in the words of xl', async (t) => {
  const home = xtHome(t)
  const domain = await FakeDomain.start(t, home)
  domain.onRequest = () =>
    setTimeout(() => domain.control.tell({ type: 'shutdown', reason: 0, action: 'destroy' }), 50)
  t.same(await xt(home, 'shutdown', '-w', 'con'), {
    status: 0,
    stdout: '',
    stderr: 'Shutting down domain 1\nWaiting for 1 domains\nDomain 1 has been shut down, reason code 0\n',
  })
})

t.test('on a terminal a wait shows whose turn it is, and leaves nothing behind', async (t) => {
  const home = xtHome(t)
  const domain = await FakeDomain.start(t, home)
  const terminal = new Terminal(process.execPath, [join(root, 'bin/dev.js'), 'shutdown', '-w', 'con'], {
    XT_HOME: home,
  })
  t.teardown(() => terminal.kill())
  await terminal.sees(/Waiting [1-9]\d* s for con to go down/)
  domain.control.tell({ type: 'shutdown', reason: 0, action: 'destroy' })
  t.match(await terminal.exited, { exitCode: 0 })
  t.same(await terminal.screen(), [
    'Shutting down domain 1',
    'Waiting for 1 domains',
    'Domain 1 has been shut down, reason code 0',
  ])
})

t.test('reboot -ww waits until the domain is gone', async (t) => {
  const home = xtHome(t)
  const domain = await FakeDomain.start(t, home)
  domain.onRequest = () => {
    domain.control.tell({ type: 'shutdown', reason: 1, action: 'restart' })
    setTimeout(() => domain.end(), 50)
  }
  const { status, stderr } = await xt(home, 'reboot', '-ww', 'con')
  t.equal(status, 0)
  t.match(stderr, /reason code 1\nDomain 1 has been destroyed\n$/)
})

t.test('shutdown -a asks all of them', async (t) => {
  const home = xtHome(t)
  const one = await FakeDomain.start(t, home, 'one')
  const two = await FakeDomain.start(t, home, 'two')
  const { status, stderr } = await xt(home, 'shutdown', '-a')
  t.equal(status, 0)
  t.same([one.requests, two.requests], [['shutdown'], ['shutdown']])
  t.match(stderr, 'Shutting down domain 1\nShutting down domain 2\n')
})
