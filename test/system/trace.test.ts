/** xt trace on a guest that makes hypercalls, speaks to the store, and uses a device of a plugin. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { connectDomain, listDomains } from '../../src/engine/domains.ts'
import { xtPaths } from '../../src/engine/paths.ts'
import type { TraceLine } from '../../src/engine/trace-line.ts'
import { finished, root, startXt, xt, xtHome } from '../commands/fake-domain.ts'
import { buildHelloGuest } from './hello-guest.ts'

t.setTimeout(120_000)

/** The example's sources are a plugin too: Node takes types away outside of node_modules. */
const plugin = join(root, 'examples/plugin-hello/src/index.ts')

/** A guest that is built and paused; what still runs at the end is destroyed. */
async function pausedGuest(t: Test): Promise<string> {
  const home = xtHome(t)
  mkdirSync(home, { recursive: true })
  const kernel = join(home, 'guest.elf')
  const cfg = join(home, 'guest.cfg')
  writeFileSync(kernel, buildHelloGuest())
  writeFileSync(
    cfg,
    `name="guest"\ntype="pvh"\nmemory=16\nkernel="${kernel}"\non_poweroff="preserve"\nplugins=["${plugin}"]\nhello=["id=0"]\n`,
  )
  t.teardown(async () => {
    for (const entry of await listDomains(xtPaths({ XT_HOME: home }))) {
      using client = await connectDomain(entry)
      await client.destroy()
    }
  })
  const made = await xt(home, 'create', '-p', cfg)
  if (made.status !== 0) throw new Error(made.stderr)
  return home
}

/** Starts to look, lets the guest run, and answers what was seen up to the line that shows `last`. */
async function traceOf(home: string, last: RegExp, ...words: string[]): Promise<string> {
  const trace = startXt(home, ['trace', 'guest', ...words], 'ignore')
  const ended = finished(trace)
  const traces = said(trace.stderr!, /Tracing/)
  // Listened to before there is anything to hear: `ended` takes what is said away.
  const [seen] = await Promise.all([
    said(trace.stdout!, last),
    traces.then(() => xt(home, 'unpause', 'guest')),
  ])
  trace.kill('SIGINT')
  await ended
  return seen
}

/** What a stream says up to what is waited for. */
function said(stream: Readable, what: RegExp): Promise<string> {
  return new Promise((settle, reject) => {
    let text = ''
    stream.on('data', (piece) => {
      text += piece
      if (what.test(text)) settle(text.slice(0, text.lastIndexOf('\n') + 1))
    })
    stream.once('close', () => reject(new Error(`${what} was never said: ${text}`)))
  })
}

t.test(
  'all kinds are shown as JSON lines, from the first hypercall of the guest until it has printed its answer',
  async (t) => {
    const home = await pausedGuest(t)
    const lines = (await traceOf(home, /"console\/0","text":"to guest.*\n/, '--json'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as TraceLine)
    const has = (wanted: Partial<Record<keyof TraceLine, unknown>>) =>
      lines.some((line) =>
        Object.entries(wanted).every(([key, value]) => {
          const got = line[key as keyof TraceLine]
          return value instanceof RegExp ? value.test(String(got)) : got === value
        }),
      )
    t.ok(has({ kind: 'hypercall', source: 'vcpu 0', text: /^EVTCHNOP_alloc_unbound\(.*\) = 0$/, nr: 32 }))
    t.ok(has({ kind: 'hypercall', text: /^XENMEM_add_to_physmap\(0x[0-9a-f]+, / }))
    t.ok(has({ kind: 'store', device: 'xenstore', text: 'WRITE device/hello/0/ring-ref 8' }))
    t.ok(has({ kind: 'store', text: 'answer WRITE OK' }))
    t.ok(has({ kind: 'event', device: 'xenstore', text: /^from guest, port 1$/, port: 1 }))
    t.ok(has({ kind: 'event', device: 'hello/0', text: /^to guest, port \d+$/ }))
    t.ok(has({ kind: 'ring', source: 'dom0', device: 'hello/0', text: 'hello 1 to grant 9' }))
    const times = lines.map(({ timeMs }) => timeMs)
    t.ok(times.every((time) => Math.abs(time - Date.now()) < 3_600_000))
  },
)

t.test('only the kinds and the device that are asked for are shown, as text', async (t) => {
  const home = await pausedGuest(t)
  const text = await traceOf(home, /to guest.*\n/, '--kind', 'ring,event', '--device', 'hello/0')
  t.match(text, /^ *\d+\.\d{6} dom0 {4}ring {6}hello\/0 hello 1 to grant 9$/m)
  t.notMatch(text, /hypercall|xenstore|console/)
})

t.test('a kind that there is not is refused with those there are', async (t) => {
  const { status, stderr } = await xt(xtHome(t), 'trace', 'guest', '--kind', 'rings')
  t.equal(status, 2)
  t.match(stderr, /`rings' cannot be traced; there are hypercall, event, store, ring/)
})
