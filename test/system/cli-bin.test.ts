/** bin/run.js, alone: what it does before any of xt's own code is loaded. */
import { execFileSync, type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { root } from '../commands/fake-domain.ts'

// Each command is a process of its own; a busy machine is slow at starting them.
t.setTimeout(300_000)

/** What stands in for the built program: says what it got, and ends as it is told. */
const PROGRAM = `
export async function main(argv, { root }) {
  const status = Number(argv[1] ?? 0)
  if (argv[0] === 'wait') {
    for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => { console.log(signal); process.exit(7) })
    console.log('waiting')
    await new Promise((settle) => setTimeout(settle, 60000))
  }
  if (argv[0] === 'die') process.kill(process.pid, 'SIGKILL')
  console.log(JSON.stringify({ argv, major: process.versions.node.split('.')[0], certs: process.env.NODE_EXTRA_CA_CERTS }))
  return status
}`

/** A checkout with bin, perhaps a build, perhaps a carried Node. */
function checkout(t: Test, { built = true, carried = true } = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'xt-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  cpSync(join(root, 'bin', 'run.js'), join(folder, 'bin', 'run.js'))
  writeFileSync(join(folder, 'package.json'), '{"type":"module","version":"1.2.3"}')
  if (built) {
    mkdirSync(join(folder, 'dist', 'cli'), { recursive: true })
    writeFileSync(join(folder, 'dist', 'cli', 'main.js'), PROGRAM)
  }
  if (carried) {
    mkdirSync(join(folder, 'node_modules', 'node', 'bin'), { recursive: true })
    symlinkSync(process.execPath, join(folder, 'node_modules', 'node', 'bin', 'node'))
  }
  return join(folder, 'bin', 'run.js')
}

const run = (node: string, ...args: readonly string[]): SpawnSyncReturns<string> =>
  spawnSync(node, args, { encoding: 'utf8', env: { ...process.env, NODE_EXTRA_CA_CERTS: '/dev/null' } })

/** A Node of this machine that is too old for xt, to try what is done about it. */
function oldNode(): string | undefined {
  for (const folder of (process.env['PATH'] ?? '').split(':')) {
    const node = join(folder, 'node')
    try {
      const major = Number.parseInt(
        execFileSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' }),
        10,
      )
      if (major >= 18 && major < 24) return node
    } catch {
      // Not here.
    }
  }
  return undefined
}

t.test('--version alone needs nothing but package.json', async (t) => {
  const { status, stdout } = run(process.execPath, checkout(t, { built: false }), '--version')
  t.same({ status, stdout }, { status: 0, stdout: 'xt 1.2.3\n' })
})

t.test('the program gets the words and gives the exit status', async (t) => {
  const { status, stdout } = run(process.execPath, checkout(t), 'list', '5', '--version')
  t.equal(status, 5)
  t.same(JSON.parse(stdout).argv, ['list', '5', '--version'])
})

t.test('before the first build it says what to do', async (t) => {
  const { status, stderr } = run(process.execPath, checkout(t, { built: false }), 'list')
  t.same(
    { status, stderr },
    { status: 1, stderr: 'xt is not built yet: run `npm install` and `npm run build` first.\n' },
  )
})

const old = oldNode()
const skip = old === undefined ? 'no Node from 18 to 23 in PATH' : false

t.test(
  'under an older Node the carried one runs, with the same words and status and without its certificates',
  { skip },
  async (t) => {
    const { status, stdout } = run(old!, checkout(t), 'list', '3', 'a b')
    t.equal(status, 3)
    t.match(JSON.parse(stdout), { argv: ['list', '3', 'a b'], major: process.versions.node.split('.')[0] })
    t.notOk('certs' in JSON.parse(stdout))
  },
)

t.test('under an older Node without a carried one it says what to install', { skip }, async (t) => {
  const { status, stdout, stderr } = run(old!, checkout(t, { carried: false }), 'list')
  t.same({ status, stdout }, { status: 1, stdout: '' })
  t.match(stderr, /^xt needs Node 24 or newer \(this is .*\): install it, or run `npm install` here\.\n$/)
})

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  t.test(
    `under an older Node ${signal} reaches the carried one, and its status comes back`,
    { skip },
    async (t) => {
      const child = spawn(old!, [checkout(t), 'wait'], { stdio: ['ignore', 'pipe', 'inherit'] })
      let stdout = ''
      child.stdout.on('data', (piece) => {
        stdout += piece
        if (stdout === 'waiting\n') child.kill(signal)
      })
      const status = await new Promise((settle) => child.once('close', settle))
      t.same({ status, stdout }, { status: 7, stdout: `waiting\n${signal}\n` })
    },
  )
}

t.test('under an older Node a killed program is reported as killed', { skip }, async (t) => {
  t.equal(run(old!, checkout(t), 'die').signal, 'SIGKILL')
})

t.test('compiled code is kept in the cache of this user, and of nobody else', async (t) => {
  const bin = checkout(t)
  const cache = t.testdir({})
  const { NODE_COMPILE_CACHE: _, ...env } = process.env
  const start = (folder: string) =>
    spawnSync(process.execPath, [bin, 'x'], { encoding: 'utf8', env: { ...env, XDG_CACHE_HOME: folder } })
  t.match(start(cache), { status: 0, stderr: '' })
  t.ok(readdirSync(join(cache, 'xt', 'node')).length > 0)
  t.match(start(join(cache, 'nowhere')), { status: 0, stderr: '' }, 'a cache that is not there is not made')
  t.notOk(existsSync(join(cache, 'nowhere')))
  t.match(start('/dev/null'), { status: 0, stderr: '' })
})
