import t, { type Test } from 'tap'
import { gref } from '../../../src/base/brand.ts'
import { createLog } from '../../../src/base/log.ts'
import { BackendThreads } from '../../../src/plugins/xen-shim/threads.ts'
import { GTF, grant_entry_v1 } from '../../../src/xen/abi/grant_table.ts'
import { testDomain } from '../../xen/fake-vcpu.ts'

const module = new URL('./fixtures/echo-service.ts', import.meta.url).href

function setUp(t: Test) {
  const domain = testDomain()
  const lines: string[] = []
  const threads = new BackendThreads(
    domain.memory,
    createLog((_level, line) => lines.push(line)),
  )
  t.teardown(() => threads[Symbol.asyncDispose]())
  return {
    domain,
    lines,
    threads,
    start: (data?: unknown) => threads.start({ name: 'echo e0', module, data }),
  }
}

t.test('a thread answers, logs, and passes errors on as they are', async (t) => {
  const { lines, start } = setUp(t)
  const thread = await start('data')
  t.same(await thread.call('echo', 1, { a: 'b' }), ['data', 1, { a: 'b' }])
  await thread.call('log', 'a line')
  t.same(lines, ['a line'])
  await t.rejects(thread.call('refuse'), { code: 'XT_ECHO', message: 'not today', hint: 'tomorrow' })
  await t.rejects(thread.call('none'), /is not a function/)
})

t.test('a module that does not start is the failure of its start', async (t) => {
  const { start } = setUp(t)
  await t.rejects(start('broken'), {
    code: 'XT_SHIM_THREAD_FAILED',
    message: /thread of echo e0 .*it is broken/,
  })
})

for (const [how, why] of [
  ['crash', /thread of echo e0 failed: a bug/],
  ['end', /thread of echo e0 failed: it ended with status 3/],
] as const) {
  t.test(`a thread that fails (${how}) is named, and nobody waits for it`, async (t) => {
    const { start } = setUp(t)
    const thread = await start()
    const waiting = t.rejects(thread.call('hang'), { code: 'XT_SHIM_THREAD_FAILED', message: why })
    thread.call(how).catch(() => {})
    await t.rejects(thread.failed, { code: 'XT_SHIM_THREAD_FAILED', message: why })
    await waiting
    await t.rejects(thread.call('echo'), { code: 'XT_SHIM_THREAD_FAILED' })
  })
}

t.test('what a thread holds at its end is told; its doorbell is free for the next', async (t) => {
  const { domain, lines, start } = setUp(t)
  const at = domain.gnttab.entry(gref(9))
  grant_entry_v1.x64.write(domain.memory.view, at, { flags: GTF.permit_access, domid: 0, frame: 0x200 })
  const thread = await start()
  await thread.call('kept', 9, domain.domid)
  await thread[Symbol.asyncDispose]()
  t.match(lines, [/echo\/6\/0 did not give back 1 grants/])
  for (let n = 0; n < 15; n++) await start()
  await t.rejects(start(), { code: 'XT_SHIM_NO_THREAD', message: /at most 15/ })
})
