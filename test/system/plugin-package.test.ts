/**
 * The example of a third party's package, as its author and its user meet it: compiled and tested in a folder of its
 * own, packed, installed into a clean home, known to the editor's schema, and used by a guest with a driver for it.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { connectDomain, listDomains } from '../../src/engine/domains.ts'
import { xtPaths } from '../../src/engine/paths.ts'
import { root, xt, xtHome } from '../commands/fake-domain.ts'
import { buildHelloGuest } from './hello-guest.ts'

t.setTimeout(300_000)

const hasNpm = spawnSync('npm', ['--version']).status === 0

/** The example in a folder of its own, with what `npm install` would put beside it. */
function author(t: Test, types: string): string {
  const folder = join(xtHome(t), 'plugin-hello')
  cpSync(join(root, 'examples', 'plugin-hello'), folder, {
    recursive: true,
    filter: (path) => !/\/(node_modules|dist)$/.test(path),
  })
  // xt as it is published, but for the modules: those are the sources.
  const checkout = join(folder, 'node_modules', 'xt')
  mkdirSync(join(folder, 'node_modules', '@types'), { recursive: true })
  mkdirSync(checkout)
  const exports = { './plugin': 'engine/plugin', './xen': 'xen/index', './testkit': 'testkit/index' }
  const entries = Object.entries(exports).map(([name, file]) => [
    name,
    { types: `./types/${file}.d.ts`, default: `./src/${file}.ts` },
  ])
  writeFileSync(
    join(checkout, 'package.json'),
    JSON.stringify({ name: 'xt', version: '0.1.0', type: 'module', exports: Object.fromEntries(entries) }),
  )
  symlinkSync(join(root, 'src'), join(checkout, 'src'))
  symlinkSync(types, join(checkout, 'types'))
  for (const name of ['zod', 'typescript', '@types/node'])
    symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name))
  return folder
}

const tsc = join(root, 'node_modules/typescript/bin/tsc')

/** The type declarations of what xt exports, as a build writes them. */
function declarations(t: Test): string {
  const config = join(root, 'tsconfig.json')
  const out = join(xtHome(t), 'types')
  const project = join(out, 'tsconfig.json')
  mkdirSync(out)
  const compilerOptions = {
    noEmit: false,
    emitDeclarationOnly: true,
    declaration: true,
    noCheck: true,
    rootDir: join(root, 'src'),
    outDir: out,
    typeRoots: [join(root, 'node_modules/@types')],
  }
  const files = ['engine/plugin.ts', 'xen/index.ts', 'testkit/index.ts'].map((file) =>
    join(root, 'src', file),
  )
  writeFileSync(project, JSON.stringify({ extends: config, compilerOptions, files, include: [] }))
  symlinkSync(join(root, 'node_modules'), join(out, 'node_modules'))
  must(root, process.execPath, tsc, '-p', project)
  return out
}

function must(folder: string, program: string, ...words: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, words, { cwd: folder, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program} ${words.join(' ')}:\n${stdout}${stderr}`)
  return stdout
}

async function cleanHome(t: Test): Promise<string> {
  const home = xtHome(t)
  t.teardown(async () => {
    for (const entry of await listDomains(xtPaths({ XT_HOME: home }))) {
      using client = await connectDomain(entry)
      await client.destroy()
    }
  })
  return home
}

t.test("the package's own tests pass: it keeps the contract", async (t) => {
  const report = must(author(t, root), process.execPath, '--test', 'test/contract.test.ts')
  t.match(report, /fail 0/)
  t.match(report, /hostile inputs/)
})

t.test(
  'compiled, packed, installed into a clean home, and used by a real guest',
  { skip: hasNpm ? false : 'npm is not installed' },
  async (t) => {
    const folder = author(t, declarations(t))
    must(folder, process.execPath, tsc)
    must(folder, 'npm', 'pack', '--ignore-scripts')
    const tarball = join(folder, 'xt-plugin-hello-1.0.0.tgz')
    const home = await cleanHome(t)
    const kernel = join(home, 'guest.elf')
    const cfg = join(home, 'guest.cfg')
    mkdirSync(home, { recursive: true })
    writeFileSync(kernel, buildHelloGuest())
    writeFileSync(
      cfg,
      `name="guest"\ntype="pvh"\nmemory=16\nkernel="${kernel}"\nhello=["id=0,greeting=good day"]\n`,
    )

    t.match((await xt(home, 'config', 'check', cfg)).stdout, /unknown key `hello'/)

    const installed = await xt(home, 'plugins', 'install', tarball)
    t.equal(installed.stderr, '')
    t.equal(installed.stdout, 'installed hello 1.0.0 (xt-plugin-hello); keys: hello\n')

    const listed = JSON.parse((await xt(home, 'plugins', 'list', '--json')).stdout)
    t.match(
      listed.find(({ name }: { name: string }) => name === 'hello'),
      {
        version: '1.0.0',
        api: 1,
        provides: [],
        requires: ['pvBus'],
        from: 'xt-plugin-hello',
        config: { properties: { greeting: { type: 'string', default: 'hello' } } },
        stanzas: { hello: { type: 'array', items: { type: 'string' } } },
      },
    )
    const domain = JSON.parse((await xt(home, 'config', 'schema', 'domain')).stdout)
    t.match(domain.properties.stanzas.properties.hello, { type: 'array', description: /greeting=TEXT/ })
    const settings = JSON.parse((await xt(home, 'config', 'schema', 'settings')).stdout)
    t.match(settings.properties.pluginConfig.properties.hello.properties, { greeting: { type: 'string' } })
    t.match((await xt(home, 'config', 'check', cfg)).stdout, /no problems/)

    const guest = await xt(home, 'create', '-F', '-c', cfg)
    t.match(guest.stdout, 'good day, guest')
    t.match(guest.stdout, 'PASS')
    t.equal(guest.status, 0)

    const wrong = await xt(home, 'create', cfg, 'hello=["id=0,colour=blue"]')
    t.match(wrong.stderr, /`hello' of plugin hello: item 1.*colour/)
    t.not(wrong.status, 0)

    t.equal((await xt(home, 'plugins', 'uninstall', 'hello')).stdout, 'uninstalled hello 1.0.0\n')
    t.notMatch((await xt(home, 'plugins', 'list')).stdout, /hello/)
    t.notOk(existsSync(join(home, 'plugins', 'node_modules', 'xt-plugin-hello')))
    t.same(readdirSync(join(home, 'plugins', 'packages')), [])
  },
)

t.test('what cannot be installed is refused with the reason, and nothing is left', async (t) => {
  const home = await cleanHome(t)
  const missing = await xt(home, 'plugins', 'install', './nothing.tgz')
  t.match(missing.stderr, /cannot install the plugin \.\/nothing\.tgz: it does not exist/)
  const folder = join(home, 'no-plugin')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "name": "no-plugin", "version": "1.0.0" }')
  const other = await xt(home, 'plugins', 'install', folder)
  if (hasNpm) t.match(other.stderr, /its package.json does not say/)
  else t.match(other.stderr, /apt install npm/)
  t.notMatch((await xt(home, 'plugins', 'list')).stdout, /no-plugin/)
  t.match((await xt(home, 'plugins', 'uninstall', 'no-plugin')).stderr, /no plugin no-plugin is installed/)
})
