/** `xt xenstore` against the real store process, each beside what Xen's own tools answered (xen-golden, xenstore-commands). */
import { execFile } from 'node:child_process'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { type TestStore, testStore } from '../xenstored/store-process.ts'
import { finished, type Result, startXt, xt, xtHome } from './fake-domain.ts'

// Each command is a process of its own; a busy machine is slow at starting them.
t.setTimeout(300_000)

interface Home {
  readonly store: TestStore
  xenstore(...args: readonly string[]): Promise<Result>
  readonly path: string
}

/** A home whose store ends with the test. */
async function homeWithStore(t: Test): Promise<Home> {
  const path = xtHome(t)
  const store = await testStore(t)
  mkdirSync(join(path, 'run'))
  symlinkSync(join(store.runDir, 'xenstored'), join(path, 'run', 'xenstored'))
  return { store, path, xenstore: (...args) => xt(path, 'xenstore', ...args) }
}

const silent = { status: 0, stdout: '', stderr: '' }
const prints = (stdout: string) => ({ status: 0, stdout, stderr: '' })

t.test('write, read, ls, list, exists and rm work as the tools of Xen do', async (t) => {
  const { xenstore } = await homeWithStore(t)
  t.same(await xenstore('write', '/a/b/c', '1', '/a/b/d', 'two words', '/a/e', ''), silent)
  t.same(await xenstore('ls', '/a'), prints('b = ""\n c = "1"\n d = "two words"\ne = ""\n'))
  const full = '/a/b = ""   (n0)\n/a/b/c = "1"   (n0)\n/a/b/d = "two words"   (n0)\n/a/e = ""   (n0)\n'
  t.same(await xenstore('ls', '-fp', '/a'), prints(full))
  t.same(await xenstore('read', '-p', '/a/b/c'), prints('/a/b/c: 1\n'))
  t.same(await xenstore('read', '/a/b/c', '/a/b/d'), prints('1\ntwo words\n'))
  t.same(await xenstore('read', '-R', '/a/b/c'), prints('1'))
  t.same(await xenstore('write', '-R', '/a/bin', 'x\\x01y'), silent)
  t.same(await xenstore('read', '/a/bin'), prints('x\\\\x01y\n'))
  t.same(await xenstore('list', '/a'), prints('b\nbin\ne\n'))
  t.same(await xenstore('list', '-p', '/a'), prints('/a/b\n/a/bin\n/a/e\n'))
  t.same(await xenstore('exists', '/a', '/a/b'), silent)
  t.same(await xenstore('exists', '/nosuch'), { status: 1, stdout: '', stderr: '' })
  t.same(await xenstore('rm', '-t', '/a/b/c'), silent)
  t.same(await xenstore('list', '/a/b'), prints('d\n'), 'it is not empty yet')
  t.same(await xenstore('rm', '-t', '/a/b/d'), silent)
  t.same(await xenstore('list', '/a'), prints('bin\ne\n'))
})

t.test('values and listings come as JSON', async (t) => {
  const { xenstore } = await homeWithStore(t)
  await xenstore('write', '/a/x', 'tab\\t')
  t.same(JSON.parse((await xenstore('read', '--json', '/a/x')).stdout), { '/a/x': 'tab\\t' })
  t.same(JSON.parse((await xenstore('ls', '--json', '/a')).stdout), [
    { path: '/a/x', value: 'tab\\t', perms: ['n0'] },
  ])
})

t.test('chmod sets permissions, also below and above', async (t) => {
  const { xenstore, store } = await homeWithStore(t)
  const client = await store.client()
  await client.write('/a/b/c', '')
  const perms = async () =>
    Promise.all(['/a', '/a/b', '/a/b/c'].map(async (path) => (await client.getPerms(path)).join(' ')))
  t.same(await xenstore('chmod', '/a/b', 'n0', 'r3'), silent)
  t.same(await perms(), ['n0', 'n0 r3', 'n0'])
  t.same(await xenstore('chmod', '-r', '/a/b', 'w3', 'n4'), silent)
  t.same(await perms(), ['n0', 'w3 n4', 'w3 n4'])
  t.same(await xenstore('chmod', '-u', '/a/b/c', 'r5'), silent)
  t.same(await perms(), ['r5', 'r5', 'r5'])
  const wrong = await xenstore('chmod', '/a', 'q1')
  t.equal(wrong.status, 2)
  t.match(wrong.stderr, /^"q1" is no permission\n/)
})

t.test('what the store refuses is one sentence with the path', async (t) => {
  const { xenstore } = await homeWithStore(t)
  const refused = (sentence: string) => ({ status: 1, stdout: '', stderr: `${sentence}\n` })
  t.same(await xenstore('read', '/nosuch'), refused('/nosuch: no such node'))
  t.same(await xenstore('ls', '/nosuch'), refused('/nosuch: no such node'))
  t.same(await xenstore('write', '/a//b', '1'), refused('/a//b: not a path that the store takes'))
  const few = await xenstore('write', '/a', '1', '/b')
  t.equal(few.status, 2)
  t.match(few.stderr, /^'xt xenstore write' requires at least 4 arguments\./)
})

t.test('watch prints the path once at the start, then every change, and ends after -n lines', async (t) => {
  const { path, store } = await homeWithStore(t)
  const client = await store.client()
  const child = startXt(path, ['xenstore', 'watch', '-n', '3', '/a'], 'ignore')
  const result = finished(child)
  await new Promise((seen) => child.stdout?.once('data', seen))
  await client.write('/a/x', '1')
  await client.write('/elsewhere', '1')
  await client.write('/a', '2')
  t.same(await result, prints('/a\n/a/x\n/a\n'))
})

const noTools = await promisify(execFile)('xenstore-read', ['-h']).then(
  () => false as const,
  ({ code }) => (code === 'ENOENT' ? 'xenstore-utils is not installed' : false),
)

t.test("socket prints the path that Xen's own tools can use", { skip: noTools }, async (t) => {
  const { xenstore } = await homeWithStore(t)
  const { stdout, status } = await xenstore('socket')
  t.equal(status, 0)
  const env = { PATH: process.env['PATH'], XENSTORED_PATH: stdout.trimEnd() }
  t.match(await promisify(execFile)('xenstore-read', ['domid'], { env }), { stdout: '0\n' })
})
