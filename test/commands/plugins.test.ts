import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { builtinPlugins } from '../../src/plugins/builtin.ts'
import { finished, type Result, root, xtHome } from './fake-domain.ts'

// Each command is a process of its own; a busy machine is slow at starting them.
t.setTimeout(300_000)

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }

/** `xt plugins list` in a directory with these files. */
function plugins(
  t: Test,
  files: Readonly<Record<string, string>>,
  ...args: readonly string[]
): Promise<Result> {
  const cwd = xtHome(t)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(cwd, name)), { recursive: true })
    writeFileSync(join(cwd, name), text.replaceAll('CWD', cwd))
  }
  // Settings of whoever runs the test are not looked at.
  const env = { ...process.env, XT_HOME: cwd, HOME: cwd, XDG_CONFIG_HOME: cwd }
  const words = [join(root, 'bin', 'dev.js'), 'plugins', 'list', ...args]
  return finished(spawn(process.execPath, words, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] }))
}

const PLUGIN = `
  import { definePlugin } from 'xt/plugin'
  import { z } from 'zod'
  export default definePlugin({
    name: 'hello', api: 1, config: z.strictObject({}), provides: ['greeting'], requires: ['pvBus'], setup: () => ({}),
  })`
const PACKAGE = {
  'node_modules/xt-hello/package.json': '{"version":"2.3.4","type":"module","xt":{"plugin":"./index.js"}}',
  'node_modules/xt-hello/index.js': PLUGIN,
}

t.test('the builtin plugins are listed, with what they give and need', async (t) => {
  const { status, stdout, stderr } = await plugins(t, {}, '--json')
  t.same({ status, stderr }, { status: 0, stderr: '' })
  const listed = JSON.parse(stdout) as Record<string, unknown>[]
  t.same(
    listed.map(({ name }) => name),
    builtinPlugins.map(({ name }) => name),
  )
  t.match(listed, [{ name: 'cpu-software', version, api: 1, provides: ['vcpus'], from: 'builtin' }])
})

t.test('plugins that the settings name follow, with version and file', async (t) => {
  const files = { ...PACKAGE, 'single.mjs': PLUGIN, '.xtrc.json': '{"plugins":["xt-hello","./single.mjs"]}' }
  const listed = JSON.parse((await plugins(t, files, '--json')).stdout) as Record<string, unknown>[]
  t.match(listed.slice(builtinPlugins.length), [
    {
      name: 'hello',
      version: '2.3.4',
      api: 1,
      provides: ['greeting'],
      requires: ['pvBus'],
      from: /\/node_modules\/xt-hello\/index\.js$/,
      namedIn: /\/\.xtrc\.json$/,
    },
    { name: 'hello', version: '-', from: /\/single\.mjs$/ },
  ])
  const { stdout } = await plugins(t, files)
  t.match(stdout, /^Name +Version +API +Provides +Requires +Keys +From\ncpu-software +/)
  t.match(stdout, /^hello +2\.3\.4 +1 +greeting +pvBus +- +\/.*index\.js$/m)
})

t.test(
  'a plugin that cannot be used is named with the reason, the others are listed all the same',
  async (t) => {
    const files = {
      ...PACKAGE,
      'old.mjs': 'export default { name: "old", api: 7 }',
      '.xtrc.json': '{"plugins":["./old.mjs","nosuch","xt-hello"]}',
    }
    const people = await plugins(t, files)
    t.equal(people.status, 1)
    t.match(people.stdout, /^hello +2\.3\.4/m)
    t.match(people.stderr, /old.*nosuch/s)
    const { stdout } = await plugins(t, files, '--json')
    t.match(JSON.parse(stdout).slice(builtinPlugins.length), [
      { name: './old.mjs', error: { code: 'XT_PLUGIN_API' } },
      { name: 'nosuch', error: { code: 'XT_PLUGIN_NOT_FOUND' } },
      { name: 'hello' },
    ])
  },
)
