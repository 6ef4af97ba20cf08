/**
 * Plugins that do wrong, in real domain processes: each gives one error that names the plugin and the call, and the
 * domain ends with nothing left of it. What needs a clock of the test's own is in vm.test.ts and driver.test.ts.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { listDomains } from '../../src/engine/domains.ts'
import { launchDomain } from '../../src/engine/launch.ts'
import { buildGuest } from '../../src/testkit/micro-guests/guest.ts'
import {
  assertNothingLeft,
  eventually,
  type Lab,
  lab,
  openDomain,
  openStore,
} from './fixtures/launch-fake.ts'

t.setTimeout(300_000)

/** A plugin file whose setup has this body. */
function pluginFile({ paths }: Lab, name: string, setup: string, more = ''): string {
  const file = join(paths.runDir, '..', `${name}.ts`)
  writeFileSync(
    file,
    `import { definePlugin } from 'xt/plugin'
     import { z } from 'zod'
     export default definePlugin({ name: '${name}', api: 1, config: z.strictObject({}), ${more}
       setup(ctx) { ${setup} } })`,
  )
  return file
}

const gone = ({ paths }: Lab) =>
  eventually(async () => ((await listDomains(paths)).length === 0 ? true : undefined))

/** The domain's log, once this is in it. */
const logged = (file: string, what: RegExp) =>
  eventually(() => {
    const text = readFileSync(file, 'utf8')
    return what.test(text) ? text : undefined
  })

for (const [call, setup] of [
  ['setup', 'throw new Error("broken glass")'],
  ['attach', 'return { attach: () => Promise.reject("broken glass") }'],
  ['start', 'return { start() { throw new Error("broken glass") } }'],
] as const) {
  t.test(`a guest is not made where ${call} fails: ${setup}`, async (t) => {
    const place = lab(t)
    const store = await openStore(t, place.paths)
    const plugins = [pluginFile(place, 'wrong', setup)]
    await t.rejects(place.launch({ plugins }), { message: `wrong ${call} failed: broken glass`, exit: 3 })
    await gone(place)
    await assertNothingLeft(t, place.paths, store)
  })
}

for (const call of ['pause', 'resume'] as const) {
  t.test(`a guest ends where ${call} fails, and whoever asked is told why`, async (t) => {
    const place = lab(t)
    const store = await openStore(t, place.paths)
    const plugins = [pluginFile(place, 'wrong', `return { ${call}() { throw new Error("broken glass") } }`)]
    const { log } = await place.launch({ plugins })
    const client = await openDomain(t, place.paths, 'guest')
    const act = async () => {
      await client.pause()
      await client.unpause()
    }
    await t.rejects(act(), { message: `wrong ${call} failed: broken glass` })
    await gone(place)
    t.match(await logged(log, /is gone/), `wrong ${call} failed: broken glass`)
    await assertNothingLeft(t, place.paths, store)
  })
}

for (const [call, setup] of [
  ['stop', 'return { stop() { throw new Error("broken glass") } }'],
  ['dispose', 'ctx.own({ [Symbol.dispose]() { throw new Error("broken glass") } }); return {}'],
] as const) {
  t.test(`a guest whose plugin fails in ${call} is gone all the same, and the log says so`, async (t) => {
    const place = lab(t)
    const store = await openStore(t, place.paths)
    const { log } = await place.launch({ plugins: [pluginFile(place, 'wrong', setup)] })
    const client = await openDomain(t, place.paths, 'guest')
    await client.destroy()
    await gone(place)
    t.match(await logged(log, /is gone/), `wrong ${call} failed: broken glass`)
    await assertNothingLeft(t, place.paths, store)
  })
}

t.test('an exception outside of any call ends the guest with a report', async (t) => {
  const place = lab(t)
  const store = await openStore(t, place.paths)
  const setup = 'return { start() { setTimeout(() => { throw new Error("broken glass") }, 50) } }'
  const { log } = await place.launch({ plugins: [pluginFile(place, 'wrong', setup)] })
  await gone(place)
  t.match(await logged(log, /is gone/), /broken glass.*wrong\.ts/s)
  await assertNothingLeft(t, place.paths, store)
})

for (const [what, more, setup, message] of [
  ['another API', 'api: 7 as never,', 'return {}', /wrong is written for plugin API 7, this xt has 1/],
  ['a call that does not exist', '', 'return { atach() {} } as never', /there is no lifecycle call atach/],
  [
    'an entry claimed twice',
    '',
    `const claim = { ports: [[5, 5]], module: 'file:///x.js' } as const
     ctx.exits.claim(claim); ctx.exits.claim(claim); return {}`,
    /wrong claims port 0x5 twice/,
  ],
  [
    'a capability that nobody has',
    "requires: ['sunshine' as never],",
    'return {}',
    /wrong requires sunshine/,
  ],
  ['a capability not declared', '', "ctx.use('vcpus'); return {}", /wrong .*vcpus/],
] as const) {
  t.test(`refused before anything runs: ${what}`, async (t) => {
    const place = lab(t)
    const store = await openStore(t, place.paths)
    const plugins = [pluginFile(place, 'wrong', setup, more)]
    await t.rejects(place.launch({ plugins }), { message, exit: 3 })
    await gone(place)
    await assertNothingLeft(t, place.paths, store)
  })
}

/** Powers off at once. */
function guestFile({ paths }: Lab): string {
  const file = join(paths.runDir, '..', 'guest.elf')
  writeFileSync(
    file,
    buildGuest((g) => g.jmp('power_off')),
  )
  return file
}

const leaky = (t: Test, setup: string) => {
  const place = lab(t)
  const plugins = [pluginFile(place, 'leaky', setup, "requires: ['pvBus'],")]
  const config = place.config({ kernel: guestFile(place), plugins })
  return { place, run: () => launchDomain(config, { paths: place.paths }) }
}

t.test('what a backend did not give back is named with its path when the guest is gone', async (t) => {
  const { place, run } = leaky(
    t,
    `return { attach() {
       const host = ctx.use('pvBus').xenhost('/local/domain/0/backend/leaky/' + ctx.vm.domid + '/0')
       host.gnttab.map(ctx.vm.domid, [1 as never], 'rw')
     } }`,
  )
  const { log } = await run()
  await gone(place)
  t.match(
    await logged(log, /is gone/),
    /the backend of \/local\/domain\/0\/backend\/leaky\/\d+\/0 did not give back 1 grants/,
  )
})

t.test('a backend that reaches for another domain, or out of its path, is refused by name', async (t) => {
  for (const [reach, refusal] of [
    ["host.gnttab.map((ctx.vm.domid + 1) as never, [0 as never], 'ro')", /may not map a grant of domain \d+/],
    ["await host.xenstore.write('/local/domain/0/name', 'mine')", /may not write \/local\/domain\/0\/name/],
  ] as const) {
    const { place, run } = leaky(
      t,
      `return { async attach() {
         const host = ctx.use('pvBus').xenhost('/local/domain/0/backend/leaky/' + ctx.vm.domid + '/0')
         ${reach}
       } }`,
    )
    await t.rejects(run(), { message: refusal, blame: undefined })
    await gone(place)
  }
})
