/** What `npm test` makes of tap's output. */
import t from 'tap'
import { type FileResult, TestResults } from '../../scripts/test-results.ts'

function read(text: string): readonly FileResult[] {
  const results: FileResult[] = []
  const reader = new TestResults((result) => results.push(result))
  for (const line of text.split('\n')) reader.line(line)
  reader.end()
  return results
}

const GOOD = `TAP version 14
1..3
# Subtest: test/a.test.ts
    # Subtest: adds
        ok 1 - should be equal
        not ok 2 - a todo deeper down # TODO later
        1..2
    ok 1 - adds # time=3.5ms
    
    ok 2 - an assertion of the file itself
    ok 3 - boots # SKIP no kernel
    1..3
    # time=9ms
ok 1 - test/a.test.ts # time=1500ms
`
const BAD = `# Subtest: test/b.test.ts
    # Subtest: holds
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
    
    1..2
not ok 2 - test/b.test.ts # time=20ms
  ---
  exitCode: 1
  ...
`
const CRASH = `# Subtest: test/c.test.ts
    1..0 # no tests found
not ok 3 - test/c.test.ts # time=30ms
  ---
  exitCode: 7
  ...

# { total: 3, pass: 1, fail: 2 }
`

t.test('test cases are the points one level below a file; a skip comes with its reason', async (t) => {
  const [a] = read(GOOD)
  t.same(a, {
    file: 'test/a.test.ts',
    seconds: 1.5,
    passed: 2,
    failed: [],
    skipped: [{ name: 'boots', reason: 'no kernel' }],
    report: '',
  })
})

t.test('the report of a failure has all about it and nothing about what passed', async (t) => {
  const [b] = read(BAD)
  t.match(b, { passed: 1, failed: ['breaks'] })
  t.match(b!.report, /diff: 1 is not 2.*at: test\/b\.test\.ts.*exitCode: 1/s)
  t.notMatch(b!.report, /holds|fine/)
})

t.test('a file that dies without a test case has failed', async (t) => {
  const [c] = read(CRASH)
  t.match(c, { file: 'test/c.test.ts', passed: 0, failed: ['test/c.test.ts'] })
  t.match(c!.report, /exitCode: 7/)
})

t.test('one file does not count for the next', async (t) => {
  t.same(
    read(GOOD + BAD + CRASH).map(({ file, passed, failed, skipped }) => [
      file,
      passed,
      failed.length,
      skipped.length,
    ]),
    [
      ['test/a.test.ts', 2, 0, 1],
      ['test/b.test.ts', 1, 1, 0],
      ['test/c.test.ts', 0, 1, 0],
    ],
  )
})

t.test('a file that is skipped as a whole says why', async (t) => {
  const [d] = read('ok 1 - test/d.test.ts # SKIP no apt')
  t.match(d, { passed: 0, failed: [], skipped: [{ name: 'test/d.test.ts', reason: 'no apt' }] })
})
