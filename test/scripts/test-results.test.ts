/** What `npm test` makes of what a test file prints. */
import t from 'tap'
import { readResult } from '../../scripts/test-results.ts'

const GOOD = { seconds: 1.5, status: 0, signal: null, stderr: 'a warning' }
const BAD = { seconds: 1.5, status: 1, signal: null, stderr: 'a stack' }

const FINE = `TAP version 14
# Subtest: adds
    ok 1 - should be equal
    not ok 2 - a todo deeper down # TODO later
    1..2
ok 1 - adds # time=3.5ms

ok 2 - an assertion of the file itself
ok 3 - boots # SKIP no \\#1 kernel
1..3
# { total: 4, pass: 2, skip: 1, todo: 1 }
# time=9ms
`
const BROKEN = `# Subtest: holds
    ok 1 - fine
    1..1
ok 1 - holds # time=1ms

# Subtest: breaks
    not ok 1 - should be equal
      ---
      diff: 1 is not 2
      ...

    1..1
not ok 2 - breaks # time=2ms
  ---
  at: test/b.test.ts
  ...

# Subtest: holds again
ok 3 - holds again # time=1ms
1..3
`

t.test('test cases are the outermost points; a skip comes with its reason', async (t) => {
  t.same(readResult('test/a.test.ts', FINE, GOOD), {
    file: 'test/a.test.ts',
    seconds: 1.5,
    passed: 2,
    failed: [],
    skipped: [{ name: 'boots', reason: 'no #1 kernel' }],
    report: '',
  })
})

t.test('the report of a failure has all about it and nothing about what passed', async (t) => {
  const { passed, failed, report } = readResult('test/b.test.ts', BROKEN, BAD)
  t.same({ passed, failed }, { passed: 2, failed: ['breaks'] })
  t.match(report, /diff: 1 is not 2.*at: test\/b\.test\.ts.*exit status 1\na stack$/s)
  t.notMatch(report, /holds|fine/)
})

t.test('a file that dies has failed, whatever it printed', async (t) => {
  for (const [stdout, passed] of [
    ['', 0],
    [FINE, 2],
  ] as const) {
    t.match(readResult('test/c.test.ts', stdout, { ...BAD, status: null, signal: 'SIGKILL' }), {
      passed,
      failed: ['test/c.test.ts'],
      report: /ended by SIGKILL\na stack$/,
    })
  }
})

t.test('a file in which no test ran has failed', async (t) => {
  t.match(readResult('test/c.test.ts', '', GOOD), { failed: ['test/c.test.ts'], report: 'no test ran' })
})

t.test('a file that is skipped as a whole says why', async (t) => {
  t.match(readResult('test/d.test.ts', 'TAP version 14\n1..0 # SKIP no apt\n', GOOD), {
    passed: 0,
    failed: [],
    skipped: [{ name: 'test/d.test.ts', reason: 'no apt' }],
  })
})
