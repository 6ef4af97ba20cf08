import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { launchDomain } from '../../src/engine/launch.ts'
import { buildGuest } from '../../src/testkit/micro-guests/guest.ts'
import { assertNothingLeft, eventually, lab, openStore } from './fixtures/launch-fake.ts'

const example = fileURLToPath(new URL('./fixtures/plugin-port', import.meta.url))

/** A guest that writes a text to port 0x402 and powers off. */
function talkingGuest(text: string): Uint8Array {
  return buildGuest((g) => {
    g.emit('MOV', 'edx', 0x402)
    for (const byte of Buffer.from(text)) g.emit('MOV', 'eax', byte).emit('OUT', 'dx', 'al')
    g.jmp('power_off')
  })
}

t.test('a plugin of a third party hears a real guest through its port', async (t) => {
  const { paths, config } = lab(t)
  const kernel = join(paths.runDir, '..', 'guest.elf')
  writeFileSync(kernel, talkingGuest('hi there\n'))
  const pluginSettings = { port: { greeting: 'good day' } }
  const { log } = await launchDomain(config({ kernel, plugins: [example] }), { paths, pluginSettings })
  const text = await eventually(() => {
    const written = readFileSync(log, 'utf8')
    return written.includes('goodbye') ? written : undefined
  })
  t.match(text, 'port: good day, guest')
  t.match(text, 'good day: the guest says "hi there"')
  t.match(text, 'port: goodbye, guest')
})

t.test('a setting that a plugin does not know is refused with its name', async (t) => {
  const { paths, config } = lab(t)
  const pluginSettings = { port: { greetings: 'x' } }
  await t.rejects(launchDomain(config({ plugins: [example] }), { paths, pluginSettings }), {
    code: 'XT_PLUGIN_SETTINGS',
    message: /settings of plugin port: .*greetings/,
  })
})

t.test('a CPU backend that is not there is refused with what to say instead', async (t) => {
  const { paths, config } = lab(t)
  await t.rejects(launchDomain(config({ cpu: 'kvm' }), { paths }), {
    code: 'XT_CPU_UNAVAILABLE',
    hint: /cpu="software"/,
    exit: 3,
  })
})

t.test('devices that no plugin serves are refused, whatever else the named plugins do', async (t) => {
  const { paths, config } = lab(t)
  const store = await openStore(t, paths)
  const screen = join(paths.runDir, '..', 'screen.ts')
  writeFileSync(
    screen,
    `import { definePlugin } from 'xt/plugin'
     import { z } from 'zod'
     export default definePlugin({
       name: 'screen', api: 1, config: z.strictObject({}),
       setup({ devices }) {
         const attach = async () => ({ remove: async () => {} })
         devices.serve({ kind: 'vfb', listedIn: 'vfbs', spec: z.any(), id: () => 0, name: () => 'vfb', attach })
         return {}
       },
     })`,
  )
  const channels = [{ devid: 0, name: 'agent', connection: 'pty' as const }]
  const vfbs = [{ devid: 0, vnc: {} }] as never
  const vkbs = [{ devid: 0 }] as never
  const cases = [
    [{ channels }, 'channel'],
    [{ channels, plugins: [example] }, 'channel'],
    [{ vfbs, plugins: [example] }, 'vfb'],
    [{ vfbs, vkbs, plugins: [screen] }, 'vkb'],
  ] as const
  for (const [more, key] of cases) {
    await t.rejects(launchDomain(config({ ...more } as never), { paths }), {
      code: 'XT_DEVICE_NOT_SERVED',
      message: `${key}= is given, but no plugin of this domain serves such devices`,
      hint: new RegExp(`Leave ${key} .*out .*${key}=\\[\\].*, or name a plugin that serves`),
      exit: 3,
    })
    await assertNothingLeft(t, paths, store)
  }
  const kernel = join(paths.runDir, '..', 'guest.elf')
  writeFileSync(kernel, talkingGuest(''))
  await launchDomain(config({ kernel, vfbs, plugins: [screen] }), { paths })
})
