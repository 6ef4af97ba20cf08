import { readFileSync, statSync } from 'node:fs'
import t from 'tap'
import { domid, gfn, port } from '../../src/base/brand.ts'
import { domainTree, removeDomain, writeNodes } from '../../src/xen/xenstore/domain-tree.ts'
import { connectXenstore, type ToolstackClient } from '../../src/xenstored/client.ts'
import { testStore } from './store-process.ts'

/** All paths of the store. */
async function paths(client: ToolstackClient, path = '/'): Promise<string[]> {
  const names = await client.directory(path)
  const below = await Promise.all(
    names.map((name) => paths(client, path === '/' ? `/${name}` : `${path}/${name}`)),
  )
  return [path, ...below.flat()]
}

t.test("reads, writes, lists and removes; errors carry the wire's text", async (t) => {
  const client = await (await testStore(t)).client()
  await client.write('/a/b', 'ä €')
  await client.write('/a/bytes', Uint8Array.of(0, 255, 0))
  t.equal(await client.read('/a/b'), 'ä €')
  t.same([...(await client.readBytes('/a/bytes'))], [0, 255, 0])
  t.same(await client.directory('/a'), ['b', 'bytes'])
  await client.mkdir('/a/c')
  await client.setPerms('/a/c', ['n3', 'r4'])
  t.same(await client.getPerms('/a/c'), ['n3', 'r4'])
  await client.rm('/a')
  await t.rejects(client.read('/a/b'), { code: 'ENOENT', name: 'XenstoreError', message: /READ \/a\/b/ })
  await t.rejects(client.read('/a b'), { code: 'EINVAL' })
})

t.test('a directory of any length is listed', async (t) => {
  const client = await (await testStore(t)).client()
  const names = Array.from({ length: 2000 }, (_, i) => `long-name-${String(i).padStart(5, '0')}`)
  await Promise.all(names.map((name) => client.write(`/long/${name}`, '')))
  t.same(await client.directory('/long'), names)
})

t.test('watches tell changes until they are disposed of', async (t) => {
  const client = await (await testStore(t)).client()
  const told: string[] = []
  const watch = await client.watch('/w', (path) => told.push(path))
  await client.write('/w/x', '1')
  await client.read('/')
  t.same(told, ['/w', '/w/x'])
  await watch[Symbol.asyncDispose]()
  await client.write('/w/x', '2')
  await client.read('/')
  t.same(told, ['/w', '/w/x'])
})

t.test('concurrent read-modify-write transactions lose nothing', async (t) => {
  const store = await testStore(t)
  const clients = await Promise.all([1, 2, 3, 4].map(() => store.client()))
  await clients[0]!.write('/count', '0')
  const bump = (client: ToolstackClient) =>
    client.transaction(async (tx) =>
      client.write('/count', `${Number(await client.read('/count', tx)) + 1}`, tx),
    )
  await Promise.all(
    clients.map(async (client) => {
      for (let i = 0; i < 25; i++) await bump(client)
    }),
  )
  t.equal(await clients[0]!.read('/count'), '100')
})

t.test('a transaction whose body fails leaves nothing and passes the failure on', async (t) => {
  const client = await (await testStore(t)).client()
  const body = async (tx: Parameters<Parameters<typeof client.transaction>[0]>[0]) => {
    await client.write('/never', '', tx)
    throw new RangeError('mine')
  }
  await t.rejects(client.transaction(body), RangeError)
  await t.rejects(client.read('/never'), { code: 'ENOENT' })
})

t.test('introduces and releases domains', async (t) => {
  const client = await (await testStore(t)).client()
  const told: string[] = []
  await client.watch('@introduceDomain', (path) => told.push(path))
  await client.watch('@releaseDomain', (path) => told.push(path))
  told.length = 0
  await client.introduce(domid(5), gfn(1), port(1))
  t.equal(await client.isIntroduced(domid(5)), true)
  t.equal(await client.domainPath(domid(5)), '/local/domain/5')
  await client.domainShutdown(domid(5))
  await client.release(domid(5))
  t.equal(await client.isIntroduced(domid(5)), false)
  t.same(told, ['@introduceDomain', '@releaseDomain', '@releaseDomain'])
  await t.rejects(client.release(domid(5)), { code: 'ENOENT' })
})

t.test('nobody to connect to, and a store that goes away, are ENOTCONN', async (t) => {
  const store = await testStore(t)
  const client = await store.client()
  await store.kill()
  await t.rejects(client.read('/'), { code: 'ENOTCONN' })
  await t.rejects(connectXenstore({ socketPath: store.socketPath }), { code: 'ENOTCONN' })
})

t.test('removing a domain leaves the tree as it was before the domain', async (t) => {
  const store = await testStore(t)
  const client = await store.client()
  const before = await paths(client)
  const uuid = '00000000-1111-2222-3333-444444444401'
  const nodes = domainTree({
    domid: 5,
    name: 'x',
    uuid,
    vcpus: 1,
    maxVcpus: 2,
    staticMaxKiB: 1024,
    targetKiB: 1024,
    startTimeSeconds: 1,
    store: { port: 1, gfn: 1 },
    console: { port: 2, gfn: 2, tty: '' },
  })
  for (const known of [uuid, undefined]) {
    await client.transaction((tx) => writeNodes(client, nodes, tx))
    await client.write('/local/domain/0/backend/vbd/5/51712/state', '4')
    await client.write('/local/domain/0/backend/vbd/6/51712/state', '4')
    await removeDomain(client, 5, known)
    t.equal(
      await client.read('/local/domain/0/backend/vbd/6/51712/state'),
      '4',
      "another domain's backend stays",
    )
    await client.rm('/local/domain/0/backend')
    t.same(await paths(client), before)
  }
  await removeDomain(client, 5, uuid)
  t.same(await paths(client), before, 'a second time is no error')
})

t.test("the directory and the sockets are the user's alone", async (t) => {
  const store = await testStore(t)
  t.equal(statSync(`${store.runDir}/xenstored`).mode & 0o777, 0o700)
  for (const path of [store.socketPath, store.guestSocketPath]) t.equal(statSync(path).mode & 0o777, 0o600)
  t.match(readFileSync(`${store.runDir}/xenstored/log`, 'utf8'), /serves/)
})
