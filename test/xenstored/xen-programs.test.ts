/**
 * Other people's programs against our store: Xen's own test-xenstore (Debian's xen-utils-4.17; or XEN_UTILS names
 * the folder that holds it) and python3-pyxs.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { testStore } from './store-process.ts'

const run = promisify(execFile)

const program = join(process.env['XEN_UTILS'] ?? '/usr/lib/xen-4.17/bin', 'test-xenstore')
const noProgram = existsSync(program) ? false : `${program} is not installed (xen-utils-4.17)`

t.test('test-xenstore passes, each test many times, then random ones', { skip: noProgram }, async (t) => {
  const store = await testStore(t)
  const env = { XENSTORED_PATH: store.socketPath }
  const { stdout } = await run(program, ['-i', '50'], { env })
  t.notMatch(stdout, /failed/)
  t.ok(stdout.trim().split('\n').length >= 10, stdout)
  await run(program, ['-r', '2'], { env })
  t.same(await (await store.client()).directory('/local/domain/0'), ['domid', 'name'], 'it left nothing')
})

const python = `
import sys
from pyxs import Client
with Client(unix_socket_path=sys.argv[1]) as c:
    c[b'/py/x'] = b'1'
    assert c[b'/py/x'] == b'1' and c.list(b'/py') == [b'x'] and c.get_perms(b'/py/x') == [b'n0']
    monitor = c.monitor()
    monitor.watch(b'/py', b'token')
    assert next(monitor.wait()) == (b'/py', b'token')
    c.transaction()
    c[b'/py/y'] = b'2'
    assert c.commit()
    assert next(monitor.wait()) == (b'/py/y', b'token')
    c.introduce_domain(5, 1, 1)
    assert c.is_domain_introduced(5) and c.get_domain_path(5) == b'/local/domain/5'
    c.delete(b'/py')
    print('done')
`
const noPyxs = await run('python3', ['-c', 'import pyxs']).then(
  () => false as const,
  () => 'python3-pyxs is not installed',
)

t.test('pyxs reads, writes, watches and commits', { skip: noPyxs }, async (t) => {
  const store = await testStore(t)
  const { stdout } = await run('python3', ['-c', python, store.socketPath])
  t.equal(stdout, 'done\n')
})
