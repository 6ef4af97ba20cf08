/**
 * Commands against what the real xl 4.17 printed and ended with on a machine with Xen: tables byte for byte, mistakes
 * by their status and standard output. The domains are made up as they were there.
 */
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { runFolder } from '../../scripts/conformance.ts'

// Each command is a process of its own, and the machine may be busy.
t.setTimeout(600_000)

const GOLDEN = fileURLToPath(new URL('fixtures/golden', import.meta.url))

for (const group of ['tables', 'mistakes']) {
  t.test(`${group} are those of xl`, async (t) => {
    const results = await runFolder(GOLDEN, [group])
    t.ok(results.length > 10)
    t.same(
      results
        .filter(({ verdict }) => verdict === 'failed')
        .map(({ test, outcome }) => ({ command: test.name, xl: test.parsed, exit: test.exit, outcome })),
      [],
    )
    const different = results.filter(({ verdict }) => verdict === 'different').map(({ test }) => test.name)
    t.same(
      different,
      group === 'tables' ? [] : ['xl pause 999', 'xl uptime 999', 'xl vcpu-list 999', 'xl -h', 'xl --help'],
    )
  })
}
