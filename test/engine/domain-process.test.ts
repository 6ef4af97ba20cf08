import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { launchDomain } from '../../src/engine/launch.ts'
import { buildGuest } from '../../src/testkit/micro-guests/guest.ts'
import { eventually, lab } from './fixtures/launch-fake.ts'

const example = fileURLToPath(new URL('../../examples/plugin-hello', import.meta.url))

/** A guest that writes a text to port 0x402 and powers off. */
function talkingGuest(text: string): Uint8Array {
  return buildGuest((g) => {
    g.emit('MOV', 'edx', 0x402)
    for (const byte of Buffer.from(text)) g.emit('MOV', 'eax', byte).emit('OUT', 'dx', 'al')
    g.jmp('power_off')
  })
}

t.test('the example plugin, loaded as a third party’s, hears a real guest through its port', async (t) => {
  const { paths, config } = lab(t)
  const kernel = join(paths.runDir, '..', 'guest.elf')
  writeFileSync(kernel, talkingGuest('hi there\n'))
  const pluginSettings = { hello: { greeting: 'good day' } }
  const { log } = await launchDomain(config({ kernel, plugins: [example] }), { paths, pluginSettings })
  const text = await eventually(() => {
    const written = readFileSync(log, 'utf8')
    return written.includes('goodbye') ? written : undefined
  })
  t.match(text, 'hello: good day, guest')
  t.match(text, 'good day: the guest says "hi there"')
  t.match(text, 'hello: goodbye, guest')
})

t.test('a setting that the example does not know is refused with its name', async (t) => {
  const { paths, config } = lab(t)
  const pluginSettings = { hello: { greetings: 'x' } }
  await t.rejects(launchDomain(config({ plugins: [example] }), { paths, pluginSettings }), {
    code: 'XT_PLUGIN_SETTINGS',
    message: /settings of plugin hello: .*greetings/,
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
