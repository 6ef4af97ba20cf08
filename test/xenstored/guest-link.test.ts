import t from 'tap'
import { domid } from '../../src/base/brand.ts'
import type { ToolstackClient } from '../../src/xenstored/client.ts'
import { ensureXenstored } from '../../src/xenstored/ensure.ts'
import { attachGuestStore, type GuestLinkOptions } from '../../src/xenstored/guest-link.ts'
import { GuestFrontend } from './guest-frontend.ts'
import { testStore } from './store-process.ts'

const FIVE = domid(5)
const CONNECTION = 0x814
const ERROR = 0x818
const REQ_PROD = 0x804

/** A store, dom0's client of it, and a linked guest with a node of its own. */
async function linked(t: Parameters<typeof testStore>[0], more: Partial<GuestLinkOptions> = {}) {
  const store = await testStore(t)
  const dom0 = await store.client({ revive: true })
  await dom0.write('/local/domain/5/data', 'hello')
  await dom0.setPerms('/local/domain/5/data', ['n5'])
  const guest = new GuestFrontend()
  const options = { ...guest.options(FIVE, store.guestSocketPath, { port: GuestFrontend.port }), ...more }
  const link = await attachGuestStore(options)
  t.teardown(() => link.close())
  return { store, dom0, guest, link, options }
}

/** The next time `dom0` is told of `path`. */
async function nextEvent(dom0: ToolstackClient, path: string): Promise<() => Promise<void>> {
  let count = 0
  let wake = () => {}
  await dom0.watch(path, () => {
    count++
    wake()
  })
  return async () => {
    while (count < 2) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
}

t.test('a guest reads and writes through its ring, with its own rights and paths', async (t) => {
  const { dom0, guest } = await linked(t)
  t.equal(await guest.ask('READ', 'data\0'), 'hello')
  t.equal(await guest.ask('WRITE', 'data/x\0value'), 'OK')
  t.equal(await dom0.read('/local/domain/5/data/x'), 'value')
  t.equal(await guest.ask('READ', '/tool\0'), 'EACCES')
  t.equal(await guest.ask('INTRODUCE', ['6', '1', '1', ''].join('\0')), 'EACCES')
  t.equal(guest.field(0x810), 7, 'features are offered')
})

t.test('answers and requests larger than the ring pass it in pieces', async (t) => {
  const { dom0, guest } = await linked(t)
  await guest.ask('WRITE', `data/big\0${'x'.repeat(2000)}`)
  t.equal(await dom0.read('/local/domain/5/data/big'), 'x'.repeat(2000))
  t.equal(await guest.ask('READ', 'data/big\0'), 'x'.repeat(2000))
  const many = Array.from({ length: 300 }, (_, i) => guest.ask('WRITE', `data/big\0${i}`))
  t.ok((await Promise.all(many)).every((answer) => answer === 'OK'))
})

t.test('a guest is told of what it watches', async (t) => {
  const { dom0, guest } = await linked(t)
  await guest.ask('WATCH', 'data\0t\0')
  await guest.told('data t')
  await dom0.write('/local/domain/5/data/new', '')
  await guest.told('data/new t')
})

t.test('the domain is introduced with the link and released with it', async (t) => {
  const { dom0, link, guest } = await linked(t)
  const released = await nextEvent(dom0, '@releaseDomain')
  t.equal(await dom0.isIntroduced(FIVE), true)
  t.equal(guest.listeners, 1)
  await link.close()
  await released()
  t.equal(await dom0.isIntroduced(FIVE), false)
  t.equal(guest.listeners, 0)
  t.same(await link.closed, { why: 'closed' })
})

t.test(
  'a second link of a domain, one of a domain that is not introduced, and an unmapped frame are refused',
  async (t) => {
    const { options } = await linked(t)
    await t.rejects(attachGuestStore(options), {
      code: 'XT_XENSTORED_GUEST_REFUSED',
      message: /connected already/,
    })
    const { introduce: _, ...without } = options
    await t.rejects(attachGuestStore({ ...without, domid: domid(6) }), { message: /not introduced/ })
    await t.rejects(attachGuestStore({ ...options, gfn: 1e6 as never }), { message: /nothing is mapped/ })
  },
)

t.test('RELEASE by dom0 ends the link', async (t) => {
  const { dom0, link } = await linked(t)
  await dom0.release(FIVE)
  t.match((await link.closed).why, /gone/)
})

t.test(
  'indices that cannot be are left alone and flagged; a reconnection makes the ring good again',
  async (t) => {
    const { guest, dom0 } = await linked(t)
    await guest.ask('WATCH', 'data\0t\0')
    await guest.told('data t')
    guest.field(REQ_PROD, guest.field(REQ_PROD) + 5000)
    guest.notify()
    await guest.becomes(ERROR, 2)
    guest.field(CONNECTION, 1)
    guest.notify()
    await guest.becomes(CONNECTION, 0)
    t.equal(guest.field(ERROR), 0)
    t.equal(await guest.ask('READ', 'data\0'), 'hello')
    guest.events.length = 0
    await dom0.write('/local/domain/5/data', 'again')
    t.equal(await guest.ask('READ', 'data\0'), 'again')
    t.same(guest.events, [], 'its watches are gone')
    t.equal(await dom0.isIntroduced(FIVE), true, 'the domain is not')
  },
)

t.test('a packet with too long a payload is flagged as a protocol error', async (t) => {
  const { guest } = await linked(t)
  const header = new Uint8Array(16)
  new DataView(header.buffer).setUint32(12, 5000, true)
  await guest.put(header)
  await guest.becomes(ERROR, 3)
})

t.test('a guest that never looks at its ring stops only itself', async (t) => {
  const { guest, dom0 } = await linked(t)
  await guest.ask('WATCH', 'data\0t\0')
  guest.asleep = true
  for (let i = 0; i < 3000; i++) void dom0.write(`/local/domain/5/data/n${i}`, 'x'.repeat(100))
  t.equal(await dom0.read('/local/domain/5/data/n2999'), 'x'.repeat(100))
  guest.asleep = false
  guest.look()
  await guest.told('data/n0 t')
  t.equal(await guest.ask('READ', 'data\0'), 'hello')
})

t.test('a store that ends or is killed and comes back: the guest notices nothing', async (t) => {
  const started = await testStore(t)
  const revive = () => ensureXenstored(started.runDir, { idleSeconds: 300 })
  const dom0 = await started.client({ revive: true })
  await dom0.write('/local/domain/5/data', 'hello')
  await dom0.setPerms('/local/domain/5/data', ['n5'])
  const told: string[] = []
  await dom0.watch('/local/domain/5/data', (path) => told.push(path))
  const guest = new GuestFrontend()
  const introduce = { port: GuestFrontend.port }
  const link = await attachGuestStore({ ...guest.options(FIVE, started.guestSocketPath, introduce), revive })
  t.teardown(() => link.close())
  await guest.ask('WATCH', 'data\0t\0')
  await guest.told('data t')
  const tx = Number(await guest.ask('TRANSACTION_START', '\0'))
  for (const [round, signal] of (['SIGKILL', 'SIGTERM', 'SIGKILL'] as const).entries()) {
    await started.kill(signal)
    const answers = Promise.all([1, 2, 3].map((i) => guest.ask('WRITE', `data/${round}-${i}\0v`)))
    t.same(await answers, ['OK', 'OK', 'OK'])
    t.equal(await guest.ask('READ', `data/${round}-3\0`), 'v')
    await guest.told(`data/${round}-2 t`)
  }
  t.equal(await guest.ask('READ', 'data\0', tx), 'hello')
  t.equal(await guest.ask('TRANSACTION_END', 'T\0', tx), 'EAGAIN')
  t.equal(await dom0.read('/local/domain/5/data/2-3'), 'v')
  t.ok(told.filter((path) => path === '/local/domain/5/data').length > 1, "dom0's watch was set again")
  await guest.ask('WRITE', 'data/last\0')
  await dom0.read('/')
  t.ok(told.includes('/local/domain/5/data/last'))
})
