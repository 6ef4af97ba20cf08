import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findDomain, listDomains } from '../../src/engine/domains.ts'
import { stateLetters } from '../../src/engine/vm-state.ts'
import {
  assertNothingLeft,
  eventually,
  isRunning,
  lab,
  openDomain,
  openStore,
} from './fixtures/launch-fake.ts'

t.test('a domain is launched, listed, paused, resumed, renamed, destroyed, and leaves nothing', async (t) => {
  const { paths, launch } = lab(t)
  const { domid, pid, log } = await launch()
  const store = await openStore(t, paths)
  const client = await openDomain(t, paths, 'guest')
  t.match(await client.info(), { domid, pid, name: 'guest', state: 'running', pauseCount: 0, memoryMiB: 64 })
  t.equal(stateLetters(await client.info()), 'r-----')
  t.equal(await store.read(`/local/domain/${domid}/name`), 'guest')
  t.ok(await store.isIntroduced(domid))

  await client.pause()
  t.equal(stateLetters(await client.info()), '--p---')
  await client.unpause()
  await client.rename('renamed')
  t.match(await findDomain(paths, 'renamed'), { domid })
  t.equal(await store.read(`/local/domain/${domid}/name`), 'renamed')

  await client.destroy()
  await eventually(() => (isRunning(pid) ? undefined : true))
  await assertNothingLeft(t, paths, store)
  t.match(readFileSync(log, 'utf8'), /domain \d+ is gone/)
})

t.test('a paused domain is complete and does not run until it is unpaused', async (t) => {
  const { paths, launch } = lab(t)
  const { dir } = await launch({}, { paused: true })
  const client = await openDomain(t, paths, 'guest')
  t.match(await client.info(), { state: 'paused', pauseCount: 1 })
  t.notOk(existsSync(join(dir, 'runs')))
  await client.unpause()
  t.ok(existsSync(join(dir, 'runs')))
})

t.test('two domains live beside one another; a taken name is refused', async (t) => {
  const { paths, launch } = lab(t)
  await launch({ name: 'one' })
  await launch({ name: 'two' })
  await t.rejects(launch({ name: 'one' }), { code: 'XT_NAME_IN_USE', exit: 3 })
  t.same(
    (await listDomains(paths)).map(({ name }) => name),
    ['one', 'two'],
  )
})

t.test('shutdown writes the request for the guest and settles when the guest takes it', async (t) => {
  const { paths, launch } = lab(t)
  const { domid } = await launch()
  const store = await openStore(t, paths)
  const control = `/local/domain/${domid}/control`
  await store.write(`${control}/feature-poweroff`, '1')
  const client = await openDomain(t, paths, 'guest')
  const seen: string[] = []
  await store.watch(`${control}/shutdown`, () => {
    const take = async () => {
      const value = await store.read(`${control}/shutdown`)
      if (value === '') return
      seen.push(value)
      await store.write(`${control}/shutdown`, '')
    }
    // The last event may come when the test is over, and the store closed.
    take().catch(() => {})
  })
  t.equal(await client.shutdown(), null)
  t.same(seen, ['poweroff'])
})

t.test('destroying a domain ends a request that its guest never takes', async (t) => {
  const { paths, launch } = lab(t)
  const { domid } = await launch()
  const store = await openStore(t, paths)
  await store.write(`/local/domain/${domid}/control/feature-reboot`, '1')
  const client = await openDomain(t, paths, 'guest')
  const asked = client.reboot()
  await eventually(async () =>
    (await store.read(`/local/domain/${domid}/control/shutdown`)) === 'reboot' ? true : undefined,
  )
  await client.destroy()
  await asked.catch(() => {})
  t.same(await listDomains(paths), [])
})

t.test('a long log is put aside when its domain starts', async (t) => {
  const { launch } = lab(t)
  const { log } = await launch({ cmdline: 'end 0' })
  writeFileSync(log, 'x'.repeat(2 << 20))
  await eventually(() => launch().catch(() => undefined))
  t.equal(statSync(`${log}.1`).size >= 2 << 20, true)
})
