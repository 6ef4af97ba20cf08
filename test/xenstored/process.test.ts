import { spawn } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { domid, gfn, port } from '../../src/base/brand.ts'
import { ensureXenstored } from '../../src/xenstored/ensure.ts'
import { isAlive, testStore } from './store-process.ts'

const journalOf = (store: { runDir: string }) => join(store.runDir, 'xenstored', 'journal')

t.test('however many ask for the store at once, one comes up', async (t) => {
  const store = await testStore(t)
  await store.kill()
  await Promise.all(Array.from({ length: 8 }, () => ensureXenstored(store.runDir)))
  const first = store.pid()
  await sleep(300)
  t.equal(store.pid(), first)
  t.equal(store.log().match(/serves/g)?.length, 2, 'the killed one and this one')
})

t.test(
  'what was answered before kill -9 is there afterwards: values, permissions, domains, limits',
  async (t) => {
    const store = await testStore(t)
    const dom0 = await store.client()
    await dom0.introduce(domid(7), gfn(1), port(1))
    await dom0.control('quota', 'set', 'nodes', '123')
    await dom0.write(
      '/bytes',
      Uint8Array.from({ length: 256 }, (_, i) => i),
    )
    await dom0.setPerms('/bytes', ['n7', 'r1'])
    await dom0.write('/gone', '')
    await dom0.rm('/gone')
    await store.kill()
    await ensureXenstored(store.runDir)
    const after = await store.client()
    t.equal(await after.isIntroduced(domid(7)), true)
    t.match(await after.control('quota'), /nodes +: +123 /)
    t.same(
      [...(await after.readBytes('/bytes'))],
      Array.from({ length: 256 }, (_, i) => i),
    )
    t.same(await after.getPerms('/bytes'), ['n7', 'r1'])
    await t.rejects(after.read('/gone'), { code: 'ENOENT' })
  },
)

t.test(
  'killed at random moments under load, it never loses an answered write, and transactions stay whole',
  async (t) => {
    const store = await testStore(t)
    for (let round = 0; round < 4; round++) {
      const client = await store.client()
      let answered = 0
      const load = (async () => {
        for (let i = 1; i < 100_000; i++) {
          await client.transaction(async (tx) => {
            await client.write('/pair/a', `${round}.${i}`, tx)
            await client.write('/pair/b', `${round}.${i}`, tx)
          })
          answered = i
        }
      })().catch(() => {})
      while (answered < 3) await sleep(1)
      await sleep(20 * round)
      await store.kill()
      await load
      await ensureXenstored(store.runDir)
      const after = await store.client()
      const value = await after.read('/pair/a')
      t.equal(await after.read('/pair/b'), value)
      const [inRound, count] = value.split('.').map(Number)
      t.ok(
        inRound === round && (count === answered || count === answered + 1),
        `${value}, answered ${answered}`,
      )
    }
  },
)

t.test(
  'a line that was cut short is left out; a damaged one keeps the file and what came before it',
  async (t) => {
    const store = await testStore(t)
    const dom0 = await store.client()
    await dom0.write('/before', '1')
    await store.kill()
    appendFileSync(journalOf(store), '[["put","/cut","","n0"]')
    await ensureXenstored(store.runDir)
    t.same(
      (await (await store.client()).directory('/')).filter((name) => /before|cut/.test(name)),
      ['before'],
    )
    t.notMatch(store.log(), 'damaged')
    await store.kill()
    appendFileSync(journalOf(store), 'rubbish\n[["put","/after","","n0"]]\n')
    await ensureXenstored(store.runDir)
    t.same(
      (await (await store.client()).directory('/')).filter((name) => /before|after/.test(name)),
      ['before'],
    )
    t.match(store.log(), /line \d+ of the journal is damaged/)
    t.ok(existsSync(`${journalOf(store)}.damaged`))
  },
)

t.test('the journal is rewritten when it has grown to several times the state', async (t) => {
  const store = await testStore(t)
  const dom0 = await store.client()
  await Promise.all(Array.from({ length: 2500 }, (_, i) => dom0.write('/same', `${i}`.padEnd(1000))))
  t.ok(readFileSync(journalOf(store)).length < 1_500_000)
  await store.kill()
  await ensureXenstored(store.runDir)
  t.equal((await (await store.client()).read('/same')).trimEnd(), '2499')
})

t.test('it ends by itself when nobody needs it, and keeps its state', async (t) => {
  const store = await testStore(t, 0.3)
  const dom0 = await store.client()
  await dom0.write('/kept', 'yes')
  const pid = store.pid()
  await sleep(600)
  t.ok(isAlive(pid), 'somebody is connected')
  await dom0.close()
  while (isAlive(pid)) await sleep(20)
  t.match(store.log(), /nobody needs the store/)
  t.notOk(existsSync(store.socketPath), 'its socket is gone')
  await ensureXenstored(store.runDir)
  t.equal(await (await store.client()).read('/kept'), 'yes')
})

t.test('it stays for an introduced domain, and says so', async (t) => {
  const store = await testStore(t, 0.2)
  const dom0 = await store.client()
  await dom0.introduce(domid(7), gfn(1), port(1))
  await dom0.close()
  while (!store.log().includes('introduced: 7')) await sleep(20)
  t.ok(isAlive(store.pid()))
})

t.test('the death of a client changes nothing for others', async (t) => {
  const store = await testStore(t)
  const dom0 = await store.client()
  const script = `
    const socket = require('net').connect(process.argv[1], () => socket.write(Buffer.from(process.argv[2], 'hex')))
    socket.on('data', () => process.stdout.write('.'))`
  const start = Buffer.concat([
    Buffer.from([6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]),
    Buffer.from([0]),
  ])
  const half = Buffer.from([1, 0, 0, 0, 2, 0, 0])
  const client = spawn(process.execPath, [
    '-e',
    script,
    store.socketPath,
    Buffer.concat([start, half]).toString('hex'),
  ])
  await new Promise((resolve) => client.stdout.once('data', resolve))
  client.kill('SIGKILL')
  await new Promise((resolve) => client.once('close', resolve))
  await dom0.write('/fine', '1')
  t.equal(await dom0.read('/fine'), '1')
})

t.test('rubbish on either socket ends that connection only', async (t) => {
  const store = await testStore(t)
  const dom0 = await store.client()
  const rubbish = Buffer.alloc(10_000, 0xee)
  for (const path of [store.socketPath, store.guestSocketPath]) {
    const socket = connect(path)
    socket.on('error', () => {})
    socket.on('data', () => {})
    socket.write(rubbish)
    await new Promise((resolve) => socket.once('close', resolve))
    t.equal(await dom0.read('/tool/xenstored'), 'xt')
  }
})

t.test('stale sockets of a killed store are no obstacle; a path that is too long is named', async (t) => {
  const store = await testStore(t)
  await store.kill()
  t.ok(existsSync(store.socketPath))
  await ensureXenstored(store.runDir)
  t.equal(await (await store.client()).read('/tool/xenstored'), 'xt')
  await t.rejects(ensureXenstored(`/tmp/${'x'.repeat(100)}`), { code: 'XT_XENSTORED_SOCKET_PATH_TOO_LONG' })
})

t.test('a store that cannot start is an error that names its log', async (t) => {
  const store = await testStore(t)
  await store.kill()
  const blocked = join(store.runDir, 'other', 'xenstored')
  mkdirSync(join(blocked, 'journal'), { recursive: true })
  writeFileSync(join(blocked, 'journal', 'x'), '')
  await t.rejects(ensureXenstored(join(store.runDir, 'other')), {
    code: 'XT_XENSTORED_NOT_STARTED',
    message: /log/,
  })
})
