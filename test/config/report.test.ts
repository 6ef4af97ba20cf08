import t from 'tap'
import { checkDomain } from '../../src/config/domain.ts'
import { printProblem, printProblems } from '../../src/config/report.ts'

t.test('a problem shows its line with the matter underlined, tabs kept', async (t) => {
  const [problem] = checkDomain('name="a"\ntype="pvh"\nkernel="/k"\n\tmemory = "512M"\n', 'web.cfg')
  t.equal(
    printProblem(problem!),
    [
      "web.cfg:4:11: warning: `memory' takes a number, not `512M'; ignored",
      '    \tmemory = "512M"',
      '    \t         ^~~~~~',
      '  Sizes are plain numbers, in MiB unless the key says otherwise.',
      '',
    ].join('\n'),
  )
})

t.test('control characters of a file do not reach the terminal', async (t) => {
  const [problem] = checkDomain('a="\u001b[2J" !\n', 'web.cfg')
  const text = printProblem(problem!)
  t.notOk(text.includes('\u001b'))
  t.match(text, /\\x1b/)
})

t.test('a very long line is cut around the matter', async (t) => {
  const problems = checkDomain(`a="${'x'.repeat(100_000)}" !\n`, 'web.cfg')
  const problem = problems.find(({ severity }) => severity === 'error')
  t.ok(problem!.excerpt.length <= 200)
  t.equal([...problem!.excerpt][problem!.caret], '!')
})

t.test('the summary counts errors, warnings and notes', async (t) => {
  const problems = checkDomain('name="a"\ntype="pvh"\nkernel="/k"\nx=1\nhap=1\nmemory=0\n', 'web.cfg')
  t.match(printProblems(problems), /\n1 error, 1 warning, 1 note\n$/)
  t.equal(printProblems([]), '')
})

t.test('colour is there only when asked for', async (t) => {
  const [problem] = checkDomain('a=\n', 'web.cfg')
  t.notOk(printProblem(problem!).includes('\u001b'))
  t.ok(printProblem(problem!, { colour: true }).includes('\u001b[31merror:\u001b[0m'))
})
