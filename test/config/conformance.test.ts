import { fileURLToPath } from 'node:url'
import t from 'tap'
import { report, runFolder } from '../../scripts/conformance.ts'

const CASES = fileURLToPath(new URL('fixtures/xlcfg', import.meta.url))
const COMMAND_GROUPS = ['output', 'usage']
const LANGUAGE_GROUPS = [
  'cfg-assign',
  'cfg-basics',
  'cfg-comments',
  'cfg-errors',
  'cfg-lists',
  'cfg-numbers',
  'cfg-strings',
  'cpus',
  'disk-deprecated',
  'disk-flags',
  'disk-named',
  'disk-positional',
  'domain-boot',
  'domain-case',
  'domain-crash',
  'domain-devices',
  'domain-extra',
  'domain-memory-cpu',
  'domain-type',
  'domain-whole',
  'mem',
  'pci',
  'rdm',
  'vdev',
  'vif-attach',
  'vif-rate',
  'vif',
]

// Each command is a process of its own, and the machine may be busy.
t.setTimeout(240_000)

t.test('configurations and specs are understood as the real xl understands them', async (t) => {
  const results = await runFolder(CASES, LANGUAGE_GROUPS)
  t.equal(results.length, 285)
  t.same(
    results.filter(({ verdict }) => verdict !== 'passed').map(({ test }) => test.name),
    [],
  )
})

t.test('random configurations are understood as the real xl understood them', async (t) => {
  const results = await runFolder(fileURLToPath(new URL('fixtures/xl-random', import.meta.url)))
  t.equal(results.length, 268)
  t.same(
    results.filter(({ verdict }) => verdict !== 'passed').map(({ test }) => test),
    [],
  )
})

t.test('edges of every kind are understood as the real xl and its libraries understood them', async (t) => {
  const results = await runFolder(fileURLToPath(new URL('fixtures/xl-edges', import.meta.url)))
  t.equal(results.length, 894)
  t.same(
    results.filter(({ verdict }) => verdict === 'failed').map(({ test }) => test),
    [],
  )
})

t.test('commands print and end as those of the real xl', async (t) => {
  const results = await runFolder(CASES, COMMAND_GROUPS)
  t.equal(results.length, 25)
  const failed = results.filter(({ verdict }) => verdict === 'failed')
  t.same(
    failed.map(({ test, outcome }) => [test.name, outcome]),
    [],
  )
})

t.test('a failing case is shown with both results, and the totals close the report', async (t) => {
  const [passed] = await runFolder(CASES, ['mem'])
  const failed = { ...passed!, verdict: 'failed' as const }
  const lines = report([passed!, failed])
  t.equal(lines[0], 'mem: 1 passed, 1 failed')
  t.match(lines.slice(1, 4), [/mem: 512/, /Xen: .*524288/, /xt: .*524288/])
  t.equal(lines.at(-1), '1 passed, 1 failed')
})

t.test('a difference that xt announces by a warning is counted apart', async (t) => {
  const dir = t.testdir({
    'crlf.json': JSON.stringify([
      {
        name: 'crlf',
        kind: 'cfg',
        input: 'a=1\r\n',
        ok: false,
        error: "test.cfg:1: config parsing error near `\r': lexical error\n",
      },
    ]),
  })
  t.match(report(await runFolder(dir)), [
    'cfg: 0 passed, 0 failed',
    /^1 different on purpose/,
    '0 passed, 0 failed',
  ])
})
