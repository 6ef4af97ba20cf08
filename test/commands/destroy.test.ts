import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { buildHello } from '../../src/testkit/micro-guests/hello.ts'
import { GuestLab } from '../system/guest.ts'

// Each command is a process of its own; a busy machine is slow at starting them.
t.setTimeout(300_000)

t.test('destroy kills the process of a domain that does not answer, and clears up behind it', async (t) => {
  const lab = new GuestLab(t)
  writeFileSync(join(lab.home, 'hello.elf'), buildHello())
  const settings = ['name="stuck"', 'type="pvh"', `kernel="${lab.home}/hello.elf"`, 'memory=16']
  await lab.must('create', '-p', '/dev/null', ...settings)
  const { pid } = await lab.info('stuck')
  process.kill(pid, 'SIGSTOP')
  const { status, stderr } = await lab.xt('destroy', 'stuck')
  t.equal(status, 0)
  t.match(stderr, `Domain 1 (stuck) did not answer: its process ${pid} was killed.`)
  t.same(await lab.leftovers(), [])
})
