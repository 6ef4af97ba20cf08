import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { DomainEvent } from '../../src/engine/control.ts'
import { listDomains } from '../../src/engine/domains.ts'
import { dumpDir } from '../../src/engine/paths.ts'
import { stateLetters } from '../../src/engine/vm-state.ts'
import {
  assertNothingLeft,
  eventually,
  isRunning,
  lab,
  openDomain,
  openStore,
} from './fixtures/launch-fake.ts'

const says = (line: string): DomainEvent => ({ type: 'monitor', line, stays: false })

t.test('a guest that powers off is cleaned up; followers hear reason and action', async (t) => {
  const { paths, launch } = lab(t)
  const { pid, log } = await launch({ cmdline: 'end 0' }, { paused: true })
  const store = await openStore(t, paths)
  const client = await openDomain(t, paths, 'guest')
  const events: DomainEvent[] = []
  await client.subscribe((event) => events.push(event))
  await client.unpause()
  await client.closed
  await eventually(() => (isRunning(pid) ? undefined : true))
  t.same(events, [
    { type: 'state', state: 'running' },
    { type: 'state', state: 'shutdown' },
    { type: 'shutdown', reason: 0, action: 'destroy', detail: 'as the command line said' },
    says('Domain 1 has shut down, reason code 0 0x0'),
    says('as the command line said'),
    says('Action for shutdown reason code 0 is destroy'),
    says('Domain 1 needs to be cleaned up: destroying the domain'),
    { type: 'state', state: 'dying' },
    { type: 'state', state: 'gone' },
    says('Done. Exiting now'),
  ])
  const text = readFileSync(log, 'utf8')
  t.match(text, /Domain 1 has shut down, reason code 0 0x0/)
  t.match(text, /Action for shutdown reason code 0 is destroy/)
  t.match(text, /Done\. Exiting now/)
  await assertNothingLeft(t, paths, store)
})

t.test('a guest that reboots comes back under a new number with the same name', async (t) => {
  const { paths, launch } = lab(t)
  await launch({ cmdline: 'end-once 1' }, { paused: true })
  const client = await openDomain(t, paths, 'guest')
  const restarted = new Promise<number>((settle) => {
    void client.subscribe((event) => event.type === 'restarted' && settle(event.domid))
  })
  await client.unpause()
  const number = await restarted
  t.equal(number, 2)
  t.match(await listDomains(paths), [{ domid: 2, name: 'guest' }])
})

t.test(
  'a guest that starts again stays paused until those who follow it have left the old domain',
  async (t) => {
    const { paths, launch } = lab(t)
    await launch({ cmdline: 'end-once 1' }, { paused: true })
    const old = await openDomain(t, paths, 'guest')
    const restarted = Promise.withResolvers<number>()
    await old.subscribe((event) => event.type === 'restarted' && restarted.resolve(event.domid), {
      follows: true,
    })
    await old.unpause()
    const next = await openDomain(t, paths, String(await restarted.promise))
    const states: string[] = []
    await next.subscribe((event) => event.type === 'state' && states.push(event.state))
    t.match(await next.info(), { state: 'paused' })
    t.same(states, [])
    old[Symbol.dispose]()
    await eventually(async () => ((await next.info()).state === 'running' ? true : undefined))
    t.same(states, ['running'])
  },
)

t.test('rename-restart keeps the dead one under a dated name beside the new one', async (t) => {
  const { paths, launch } = lab(t)
  await launch({ cmdline: 'end-once 3', onCrash: 'rename-restart' })
  const both = await eventually(async () => {
    const list = await listDomains(paths)
    return list.length === 2 ? list : undefined
  })
  t.match(both[0]?.name, /^guest-\d{8}T\d{4}Z$/)
  t.match(both[1], { domid: 2, name: 'guest' })
  const kept = await openDomain(t, paths, '1')
  t.match(await kept.info(), { state: 'shutdown', shutdownReason: 3 })
  t.equal(stateLetters(await kept.info()), '---sc-')
})

t.test('a preserved guest stays listed and can be destroyed; it takes no requests any more', async (t) => {
  const { paths, launch } = lab(t)
  await launch({ cmdline: 'end 0', onPoweroff: 'preserve' })
  const client = await openDomain(t, paths, 'guest')
  await eventually(async () => ((await client.info()).state === 'shutdown' ? true : undefined))
  t.match(await client.info(), { shutdownReason: 0, detail: 'as the command line said' })
  await t.rejects(client.shutdown(), {
    code: 'XT_NOT_NOW',
    message: 'cannot shut the guest down: the domain has shut down',
  })
  await client.destroy()
  t.same(await listDomains(paths), [])
})

t.test('without a monitor nothing is done about a guest that ended', async (t) => {
  const { paths, launch } = lab(t)
  await launch({ cmdline: 'end 1' }, { monitor: false })
  const client = await openDomain(t, paths, 'guest')
  await eventually(async () => ((await client.info()).state === 'shutdown' ? true : undefined))
  t.match(await client.info(), { shutdownReason: 1 })
})

t.test('coredump-destroy writes the guest’s memory before it goes', async (t) => {
  const { paths, launch } = lab(t)
  await launch({ cmdline: 'end 3', onCrash: 'coredump-destroy' })
  await eventually(async () => ((await listDomains(paths)).length === 0 ? true : undefined))
  const core = readFileSync(join(dumpDir(paths), 'guest'))
  t.same([...core.subarray(0x1000 + 0x1000, 0x1000 + 0x1003)], [1, 2, 3])
})
