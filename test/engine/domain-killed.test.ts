import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { listDomains } from '../../src/engine/domains.ts'
import {
  assertNothingLeft,
  eventually,
  isRunning,
  lab,
  openDomain,
  openStore,
} from './fixtures/launch-fake.ts'

t.test(
  'a domain process killed with SIGKILL is cleaned up by the next command, nodes included',
  async (t) => {
    const { paths, launch } = lab(t)
    const { pid, domid } = await launch()
    const store = await openStore(t, paths)
    process.kill(pid, 'SIGKILL')
    await eventually(() => (isRunning(pid) ? undefined : true))
    t.equal(await store.read(`/local/domain/${domid}/name`), 'guest')
    t.same(await listDomains(paths), [])
    await assertNothingLeft(t, paths, store)
    t.equal((await launch()).domid, 2)
  },
)

t.test('the name of a killed domain can be used at once', async (t) => {
  const { paths, launch } = lab(t)
  const { pid } = await launch()
  process.kill(pid, 'SIGKILL')
  await eventually(() => (isRunning(pid) ? undefined : true))
  t.equal((await launch()).domid, 2)
  t.match(await listDomains(paths), [{ domid: 2 }])
})

t.test('SIGTERM and SIGINT destroy the domain cleanly', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const { paths, launch } = lab(t)
    const { pid } = await launch()
    const store = await openStore(t, paths)
    process.kill(pid, signal)
    await eventually(() => (isRunning(pid) ? undefined : true))
    await assertNothingLeft(t, paths, store)
  }
})

t.test('a broken vCPU thread and an exception nobody caught stop the VM with a report', async (t) => {
  for (const [cmdline, report] of [
    ['fail', 'the machine was stopped: the fake thread broke'],
    ['crash-process', 'the machine was stopped: nobody caught this'],
  ] as const) {
    const { paths, launch } = lab(t)
    const { pid, log } = await launch({ cmdline })
    const store = await openStore(t, paths)
    await eventually(() => (isRunning(pid) ? undefined : true))
    t.match(readFileSync(log, 'utf8'), report)
    await assertNothingLeft(t, paths, store)
  }
})

t.test('a plugin that fails in a request ends its domain; who asked hears why', async (t) => {
  const { paths, launch } = lab(t)
  const breaking = join(paths.runDir, '..', 'breaking.ts')
  writeFileSync(
    breaking,
    `import { definePlugin } from 'xt/plugin'
     import { z } from 'zod'
     const pause = () => { throw new Error('cannot rest') }
     export default definePlugin({ name: 'breaking', api: 1, config: z.unknown(), setup: () => ({ pause }) })`,
  )
  const { pid, log } = await launch({ plugins: [breaking] })
  const client = await openDomain(t, paths, 'guest')
  await t.rejects(client.pause(), { message: 'breaking pause failed: cannot rest' })
  await eventually(() => (isRunning(pid) ? undefined : true))
  t.match(readFileSync(log, 'utf8'), 'the machine was stopped: breaking pause failed: cannot rest')
  t.same(await listDomains(paths), [])
})
