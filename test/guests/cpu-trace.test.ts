/** `xt create --cpu-trace`: the file has every taken branch, and is the same whether code was translated or not. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { buildCore } from '../../src/plugins/cpu-software/core.ts'
import { GUESTS } from './list.ts'
import { runGuest } from './run.ts'

t.setTimeout(300_000)

const home = mkdtempSync(join(tmpdir(), 'xt-'))
t.teardown(() => {
  rmSync(home, { recursive: true, force: true, maxRetries: 5 })
  delete process.env['XT_TRANSLATION']
})

type Names = (module: WebAssembly.Module) => readonly { readonly name: string }[]
/** Not in the types of Node. */
interface ModuleNames {
  readonly imports: Names
  readonly exports: Names
}

async function traced(name: string, translation: string): Promise<string[]> {
  const guest = GUESTS.find((each) => each.name === name)!
  const file = join(home, `${name}-${translation}`)
  process.env['XT_TRANSLATION'] = translation
  const { verdict, errors } = await runGuest(guest, home, { words: ['--cpu-trace', file] })
  t.same({ verdict, errors }, { verdict: 'PASS', errors: '' })
  return readFileSync(file, 'latin1').split('\n').slice(0, -1)
}

t.test('a line for every event, numbered for each vCPU', async (t) => {
  const lines = await traced('atomics', 'normal')
  t.same(
    lines.filter((line) => !/^[01] \d+ [0-9a-f]{16} [0-9a-f]{16}$/.test(line)),
    [],
  )
  for (const vcpu of ['0', '1']) {
    const numbers = lines.filter((line) => line.startsWith(vcpu)).map((line) => Number(line.split(' ')[1]))
    t.ok(numbers.length > 1000, `vCPU ${vcpu}`)
    t.ok(
      numbers.every((number, n) => number === n + 1),
      'from 1 on, without a gap',
    )
  }
})

t.test('a guest to which nothing happens from outside has the same trace in all modes', async (t) => {
  const interpreted = await traced('halt-is-power-off', 'off')
  t.ok(interpreted.length > 1000)
  t.same(await traced('halt-is-power-off', 'forced'), interpreted)
})

t.test(
  'the settings of the plugin say from which event on, and how many; FILE is where xt was started',
  async (t) => {
    const guest = GUESTS.find(({ name }) => name === 'halt-is-power-off')!
    const settings = { pluginConfig: { 'cpu-software': { trace: { from: 1000, count: 3 } } } }
    const cwd = t.testdir({ '.xtrc.json': JSON.stringify(settings) })
    const { verdict } = await runGuest(guest, home, { words: ['--cpu-trace', 'trace'], cwd })
    t.equal(verdict, 'PASS')
    const numbers = readFileSync(join(cwd, 'trace'), 'latin1').match(/^0 \d+/gm)
    t.same(numbers, ['0 1000', '0 1001', '0 1002'])
  },
)

t.test('a file that cannot be made is named, and no guest is left', async (t) => {
  const guest = GUESTS.find(({ name }) => name === 'halt-is-power-off')!
  const { verdict, errors } = await runGuest(guest, home, {
    words: ['--cpu-trace', join(home, 'none', 'trace')],
  })
  t.equal(verdict, 'none')
  t.match(errors, /cannot write the trace of the CPU to .*\/none\/trace: ENOENT/)
})

t.test('a CPU that is not traced has nothing of it in its modules', async (t) => {
  const names = (bytes: Uint8Array) => {
    const module = new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>)
    const { Module } = WebAssembly as unknown as { Module: ModuleNames }
    return [...Module.imports(module), ...Module.exports(module)].map(({ name }) => name)
  }
  t.notOk(names(buildCore().core).some((name) => name === 'event' || name === 'trace'))
  t.ok(['event', 'trace'].every((name) => names(buildCore('all').core).includes(name)))
})
