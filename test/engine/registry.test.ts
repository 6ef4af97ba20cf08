import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { type Claim, claimDomain } from '../../src/engine/claim.ts'
import { connectDomain, findDomain, listDomains } from '../../src/engine/domains.ts'
import { controlSocket, domainsDir, namesDir, type XtPaths, xtPaths } from '../../src/engine/paths.ts'
import { xtHome } from './fixtures/xt-home.ts'

const uuid = '00000000-1111-2222-3333-444444444444'

interface Held {
  readonly claim: Claim
  /** As if the process had been killed: nobody listens any more, everything stays. */
  die(): Promise<void>
}

async function hold(t: { teardown(run: () => unknown): void }, paths: XtPaths, name: string): Promise<Held> {
  const server = createServer((socket) => socket.end())
  const closed = () => new Promise<void>((settle) => server.close(() => settle()))
  t.teardown(closed)
  const claim = await claimDomain(paths, { name, uuid }, (path) => listen(server, path))
  return { claim, die: closed }
}

const listen = (server: Server, path: string) =>
  new Promise<void>((settle) => {
    server.listen(path, settle)
  })

/** Notes the domids whose nodes were to be removed. */
function forgetting() {
  const forgotten: number[] = []
  return { forgotten, forget: async (_paths: XtPaths, domid: number) => void forgotten.push(domid) }
}

t.test('domains get rising numbers and are found by name and by number', async (t) => {
  const paths = xtHome(t)
  const one = await hold(t, paths, 'one')
  const two = await hold(t, paths, 'two')
  t.same([one.claim.domid, two.claim.domid], [1, 2])
  t.match(await listDomains(paths), [
    { domid: 1, name: 'one' },
    { domid: 2, name: 'two' },
  ])
  t.match(await findDomain(paths, 'two'), { domid: 2 })
  t.match(await findDomain(paths, '1'), { name: 'one' })
})

t.test('the number of a domain that is gone is not used again', async (t) => {
  const paths = xtHome(t)
  const { claim, die } = await hold(t, paths, 'one')
  await die()
  claim.release()
  t.equal((await hold(t, paths, 'one')).claim.domid, 2)
})

t.test('a name in use is refused with the number of its holder, and nothing is left', async (t) => {
  const paths = xtHome(t)
  await hold(t, paths, 'one')
  await t.rejects(hold(t, paths, 'one'), {
    code: 'XT_NAME_IN_USE',
    message: 'Domain with name "one" already exists (domid 1).',
  })
  t.same(readdirSync(domainsDir(paths)), ['1'])
  t.same(readdirSync(namesDir(paths)), ['one'])
})

t.test('of many that want one name at once exactly one gets it', async (t) => {
  const paths = xtHome(t)
  const all = await Promise.allSettled(Array.from({ length: 12 }, () => hold(t, paths, 'same')))
  t.equal(all.filter(({ status }) => status === 'fulfilled').length, 1)
  t.equal((await listDomains(paths)).length, 1)
})

t.test('the name of a killed domain is free, and what it left is removed', async (t) => {
  const paths = xtHome(t)
  const { die } = await hold(t, paths, 'one')
  await die()
  const { forgotten, forget } = forgetting()
  t.same(await listDomains(paths, forget), [])
  t.same(forgotten, [1])
  t.same(readdirSync(domainsDir(paths)), [])
  t.same(readdirSync(namesDir(paths)), [])
  t.same(await listDomains(paths, forget), [])
  t.same(forgotten, [1])
})

t.test('commands that find a killed domain at once remove it once', async (t) => {
  const paths = xtHome(t)
  const { die } = await hold(t, paths, 'one')
  await die()
  const { forgotten, forget } = forgetting()
  await Promise.all(Array.from({ length: 5 }, () => listDomains(paths, forget)))
  t.same(forgotten, [1])
})

t.test('a removal that was itself cut short is finished by the next command', async (t) => {
  const paths = xtHome(t)
  await hold(t, paths, 'alive')
  // Process 4194305 is above Linux's largest process id.
  mkdirSync(join(domainsDir(paths), 'removing-7-4194305-1'))
  mkdirSync(join(domainsDir(paths), 'starting-4194305-abcd'))
  writeFileSync(join(domainsDir(paths), 'starting-4194305-abcd', 'domain.json'), '{}')
  const { forgotten, forget } = forgetting()
  t.match(await listDomains(paths, forget), [{ name: 'alive' }])
  t.same(forgotten, [7])
  t.same(readdirSync(domainsDir(paths)), ['1'])
})

t.test('a domain that is just starting is left alone', async (t) => {
  const paths = xtHome(t)
  await hold(t, paths, 'one')
  const starting = join(domainsDir(paths), `starting-${process.pid}-abcd`)
  mkdirSync(starting)
  await listDomains(paths)
  t.ok(existsSync(starting))
})

t.test('a new name is taken before the old one is given up', async (t) => {
  const paths = xtHome(t)
  const { claim } = await hold(t, paths, 'one')
  await hold(t, paths, 'two')
  t.throws(() => claim.rename('two'), { code: 'XT_NAME_IN_USE' })
  t.match(await findDomain(paths, 'one'), { domid: 1 })
  claim.rename('one')
  claim.rename('three')
  t.match(await findDomain(paths, 'three'), { domid: 1 })
  await t.rejects(findDomain(paths, 'one'), { code: 'XT_NO_SUCH_DOMAIN' })
  t.equal((await hold(t, paths, 'one')).claim.domid, 3)
})

t.test('names that cannot be are refused', async (t) => {
  const paths = xtHome(t)
  for (const name of ['', 'a/b', 'a\nb']) await t.rejects(hold(t, paths, name), { code: 'XT_BAD_NAME' })
  await t.rejects(hold(t, paths, 'Domain-0'), {
    message: 'Domain with name "Domain-0" already exists (domid 0).',
  })
})

t.test('no such domain is one sentence with xl’s words', async (t) => {
  const paths = xtHome(t)
  await t.rejects(findDomain(paths, 'life'), {
    message: 'life is an invalid domain identifier: no such domain',
    exit: 1,
  })
})

t.test('a domain that dies between listing and connecting is no such domain', async (t) => {
  const paths = xtHome(t)
  const { die } = await hold(t, paths, 'one')
  const entry = await findDomain(paths, 'one')
  await die()
  await t.rejects(connectDomain(entry), { code: 'XT_NO_SUCH_DOMAIN' })
})

t.test('a domain whose socket cannot be made leaves nothing', async (t) => {
  const paths = xtHome(t)
  const failing = () => Promise.reject(new Error('no socket today'))
  await t.rejects(claimDomain(paths, { name: 'one', uuid }, failing), { message: 'no socket today' })
  t.same(readdirSync(domainsDir(paths)), [])
})

t.test('the control socket lies where commands look for it', async (t) => {
  const paths = xtHome(t)
  const { claim } = await hold(t, paths, 'one')
  t.ok(existsSync(controlSocket(claim.dir)))
})

t.test('domains that cannot be read are not no domains', async (t) => {
  const file = join(t.testdir({ file: '' }), 'file')
  await t.rejects(listDomains(xtPaths({ XT_HOME: file })), {
    code: 'XT_DIRECTORY_UNUSABLE',
    message: /file\/run\/domains: something that is no directory is in its place$/,
  })
})
