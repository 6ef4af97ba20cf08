import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { launchDomain } from '../../src/engine/launch.ts'
import { buildGuest } from '../../src/testkit/micro-guests/guest.ts'
import { eventually, lab } from './fixtures/launch-fake.ts'

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
