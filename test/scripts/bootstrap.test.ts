/** scripts/bootstrap.js in a made-up checkout, with an npm that only notes that it was called. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { root } from '../commands/fake-domain.ts'

/** Makes what an npm would: its record and, unless told otherwise, a Node that names itself and its arguments. */
const NPM = `
import { mkdirSync, writeFileSync } from 'node:fs'
console.log('npm called with', process.argv.slice(2).join(' '))
if (process.env.TEST_NPM === 'fails') process.exit(1)
mkdirSync('node_modules/node/bin', { recursive: true })
writeFileSync('node_modules/.package-lock.json', '')
if (process.env.TEST_NPM === 'no scripts') process.exit(0)
const arg = '$@'
writeFileSync('node_modules/node/bin/node', '#!/bin/sh\\necho "carried: ' + arg + '"\\nexit $TEST_STATUS\\n', { mode: 0o755 })
`

function checkout(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'xt-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'scripts'))
  cpSync(join(root, 'scripts', 'bootstrap.js'), join(folder, 'scripts', 'bootstrap.js'))
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  writeFileSync(join(folder, 'package-lock.json'), '{}')
  writeFileSync(join(folder, 'npm-cli.js'), NPM)
  return folder
}

function run(folder: string, words: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(folder, 'scripts', 'bootstrap.js'), ...words],
    {
      encoding: 'utf8',
      env: { ...process.env, TEST_STATUS: '0', ...env, npm_execpath: join(folder, 'npm-cli.js') },
    },
  )
  return { status, stdout, stderr }
}
const installs = (stderr: string) => stderr.includes('installing packages')

t.test('it installs once, then again when the lock file is newer than what was installed', async (t) => {
  const folder = checkout(t)
  const first = run(folder, ['a.ts', 'x', '--y'])
  t.equal(first.status, 0, first.stderr)
  t.equal(first.stdout, `carried: ${join(folder, 'a.ts')} x --y\n`)
  t.ok(installs(first.stderr))
  t.notOk(installs(run(folder, ['a.ts']).stderr))
  const later = new Date(Date.now() + 60_000)
  utimesSync(join(folder, 'package-lock.json'), later, later)
  t.ok(installs(run(folder, ['a.ts']).stderr))
})

t.test('--build builds first; a build that fails is the end', async (t) => {
  const folder = checkout(t)
  const good = run(folder, ['--build', 'a.ts'])
  const build = `carried: ${join(folder, 'scripts', 'build.ts')} --if-stale\n`
  t.equal(good.stdout, `${build}carried: ${join(folder, 'a.ts')}\n`)
  t.match(run(folder, ['--build', 'a.ts'], { TEST_STATUS: '3' }), { status: 3, stdout: build })
})

t.test('an npm that fails is quoted; one that runs no install scripts is named as the cause', async (t) => {
  const failed = run(checkout(t), ['a.ts'], { TEST_NPM: 'fails' })
  t.equal(failed.status, 1)
  t.match(failed.stderr, /npm called with install --no-save.*npm could not install the packages/s)
  const halved = run(checkout(t), ['a.ts'], { TEST_NPM: 'no scripts' })
  t.equal(halved.status, 1)
  t.match(halved.stderr, /npm rebuild node --ignore-scripts=false/)
})
