import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadPlugins } from '../../src/engine/discover.ts'

const plugin = (name: string) =>
  `import { definePlugin } from 'xt/plugin'
   import { z } from 'zod'
   export default definePlugin({ name: '${name}', api: 1, config: z.strictObject({}), setup: () => ({}) })`

const names = async (named: readonly string[], from: string) =>
  (await loadPlugins([], named, from)).map(({ name }) => name)

t.test('a single file anywhere is a plugin; the API and zod are lent to it', async (t) => {
  const dir = t.testdir({ 'one.ts': plugin('one'), sub: { 'two.mjs': plugin('two') } })
  t.same(await names(['./one.ts', join(dir, 'sub', 'two.mjs')], dir), ['one', 'two'])
  t.same(await names(['../one.ts'], join(dir, 'sub')), ['one'])
})

t.test('a package says in package.json where its plugin is', async (t) => {
  const manifest = JSON.stringify({ name: 'xt-hello', type: 'module', xt: { plugin: './lib/index.js' } })
  const files = () => ({ 'package.json': manifest, lib: { 'index.js': plugin('hello') } })
  const dir = t.testdir({
    node_modules: { 'xt-hello': files(), '@scope': { hello: files() } },
    deep: { deeper: {} },
  })
  t.same(await names(['xt-hello', '@scope/hello'], join(dir, 'deep', 'deeper')), ['hello', 'hello'])
  t.same(await names(['./node_modules/xt-hello'], dir), ['hello'])
})

t.test('builtin plugins come first and are loaded only through their loader', async (t) => {
  const dir = t.testdir({ 'one.ts': plugin('one') })
  const console = { name: 'console', load: () => import('../../src/plugins/console/index.ts') }
  const loaded = await loadPlugins([console], ['./one.ts'], dir)
  t.same(
    loaded.map(({ name }) => name),
    ['console', 'one'],
  )
})

t.test('what cannot be found says where it was looked for', async (t) => {
  const dir = t.testdir({ node_modules: { gone: { 'package.json': '{"xt":{"plugin":"./no.js"}}' } } })
  await t.rejects(names(['./no.ts'], dir), {
    code: 'XT_PLUGIN_NOT_FOUND',
    message: `plugin ./no.ts: ${dir}/no.ts does not exist`,
  })
  await t.rejects(names(['no-such'], dir), {
    message: `plugin no-such: there is no package of this name at or above ${dir}`,
  })
  await t.rejects(names(['gone'], dir), { message: /no\.js does not exist/ })
})

t.test('what is no plugin says why', async (t) => {
  const whole = `export default { name: 'x', api: 1, config: { safeParse() {} }, setup() {} }`
  const cases: Record<string, readonly [source: string, message: RegExp]> = {
    'syntax.mjs': ['export default {', /syntax\.mjs: .*cannot be loaded: /],
    'throws.mjs': ['throw new Error("at once")', /cannot be loaded: at once/],
    'nothing.mjs': ['export const x = 1', /the module has no plugin as its default export/],
    'nameless.mjs': ['export default {}', /it has no name/],
    'schemaless.mjs': ['export default { name: "x", api: 1 }', /plugin x: its config is no zod schema/],
    'setup.mjs': [whole.replace(', setup() {}', ''), /plugin x: it has no setup/],
    'provides.mjs': [
      whole.replace('api: 1', 'api: 1, provides: "vcpus"'),
      /its provides is no list of names/,
    ],
  }
  const dir = t.testdir()
  for (const [file, [source, message]] of Object.entries(cases)) {
    writeFileSync(join(dir, file), source)
    await t.rejects(names([`./${file}`], dir), { code: 'XT_PLUGIN_INVALID', message })
  }
  mkdirSync(join(dir, 'folder'))
  await t.rejects(names(['./folder'], dir), { message: /its package\.json cannot be read/ })
  writeFileSync(join(dir, 'folder', 'package.json'), '{}')
  await t.rejects(names(['./folder'], dir), { message: /does not say \{"xt": \{"plugin": FILE\}\}/ })
})

t.test('a plugin for another API is refused with both numbers, before anything else is judged', async (t) => {
  const dir = t.testdir({ 'old.mjs': 'export default { name: "old", api: 2 }' })
  await t.rejects(names(['./old.mjs'], dir), {
    code: 'XT_PLUGIN_API',
    message: 'plugin old is written for plugin API 2, this xt has 1',
  })
})
