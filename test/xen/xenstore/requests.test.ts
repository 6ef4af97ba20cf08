import t from 'tap'
import { testXenstore, WireClient } from './wire-client.ts'

t.test('values are bytes, missing parents are made, mkdir leaves what is there', async (t) => {
  const client = WireClient.dom0(testXenstore())
  t.equal(client.write('/a/b/c', 'x\0y\0'), 'OK')
  t.equal(client.ask('READ', ['/a/b/c']), 'x\0y', 'the closing NUL is cut by this test only')
  t.equal(client.read('/a/b'), '')
  t.equal(client.ask('MKDIR', ['/a/b/c']), 'OK')
  t.equal(client.ask('READ', ['/a/b/c']), 'x\0y')
  t.equal(client.ask('DIRECTORY', ['/a']), 'b')
  t.equal(client.ask('DIRECTORY', ['/a/b/c']), '')
})

t.test('the root is a node like others, but for its removal', async (t) => {
  const store = testXenstore()
  const client = WireClient.dom0(store)
  client.ask('WATCH', ['/', 't'])
  client.told()
  t.equal(client.write('/', 'value'), 'OK')
  t.equal(client.read('/'), 'value')
  t.same(client.told(), ['/ t'])
  const tx = client.begin()
  t.equal(client.ask('SET_PERMS', ['/', 'r0'], tx), 'OK')
  t.equal(client.end(tx), 'OK')
  t.equal(WireClient.guest(store, 5).read('/'), 'value')
})

t.test('rm: with all below, of what is not there, without a parent, of the root', async (t) => {
  const client = WireClient.dom0(testXenstore())
  client.write('/a/b/c', '1')
  t.equal(client.ask('RM', ['/a']), 'OK')
  t.equal(client.read('/a/b/c'), 'ENOENT')
  t.equal(client.ask('RM', ['/a']), 'OK', 'its parent is there')
  t.equal(client.ask('RM', ['/a/b']), 'ENOENT')
  t.equal(client.ask('RM', ['/']), 'EINVAL')
})

t.test('paths that are not valid are EINVAL', async (t) => {
  const client = WireClient.dom0(testXenstore())
  const long = `/${'x'.repeat(3072)}`
  for (const bad of ['', '/a/', '//', '/a//b', '/a b', '/a+b', '/ä', long, '@introduceDomain', '@x', 'a/']) {
    t.equal(client.read(bad), 'EINVAL', bad.slice(0, 20))
    t.equal(client.write(bad, ''), 'EINVAL', bad.slice(0, 20))
  }
  t.equal(client.read(long.slice(0, 3072)), 'ENOENT')
  t.equal(client.read('/'), '')
})

t.test('payloads that are not one string are EINVAL', async (t) => {
  const client = WireClient.dom0(testXenstore())
  for (const name of [
    'READ',
    'DIRECTORY',
    'MKDIR',
    'RM',
    'GET_PERMS',
    'GET_DOMAIN_PATH',
    'TRANSACTION_END',
  ] as const) {
    for (const payload of ['', '/tool', '/tool\0x', '/tool\0x\0'])
      t.equal(client.send(name, payload), 'EINVAL', name)
  }
  t.equal(client.send('WRITE', '/a'), 'EINVAL')
})

t.test('relative paths start at the domain of whoever asks', async (t) => {
  const store = testXenstore()
  const dom0 = WireClient.dom0(store)
  dom0.write('/local/domain/0/name', 'Domain-0')
  dom0.write('/local/domain/5/name', 'guest')
  dom0.ask('SET_PERMS', ['/local/domain/5/name', 'n0', 'r5'])
  t.equal(dom0.read('name'), 'Domain-0')
  t.equal(WireClient.guest(store, 5).read('name'), 'guest')
})

t.test('unknown and reply types are ENOSYS', async (t) => {
  const client = WireClient.dom0(testXenstore())
  for (const type of [15, 16, 20, 27, 65535, 0xffffffff]) t.equal(client.send(type, 'x\0'), 'ENOSYS')
})

t.test('what only dom0 may ask is EACCES for a guest', async (t) => {
  const guest = WireClient.guest(testXenstore(), 5)
  const names = [
    'INTRODUCE',
    'RELEASE',
    'RESUME',
    'SET_TARGET',
    'IS_DOMAIN_INTRODUCED',
    'CONTROL',
    'SET_FEATURE',
  ] as const
  for (const name of [...names, 'GET_QUOTA', 'SET_QUOTA'] as const)
    t.equal(guest.ask(name, ['1', '1', '1']), 'EACCES', name)
})

t.test('DIRECTORY_PART gives a long directory in parts and tells when it changed', async (t) => {
  const client = WireClient.dom0(testXenstore())
  const names = Array.from({ length: 700 }, (_, i) => `child-${String(i).padStart(4, '0')}`)
  for (const name of names) client.write(`/d/${name}`, '')
  t.equal(client.ask('DIRECTORY', ['/d']), 'E2BIG')
  const got: string[] = []
  const generations = new Set<string>()
  for (let offset = 0, parts = 0; parts < 10; parts++) {
    const [generation, ...list] = client.ask('DIRECTORY_PART', ['/d', `${offset}`]).split('\0')
    generations.add(generation!)
    got.push(...list.filter(Boolean))
    if (list.at(-1) === '') break
    offset = got.join('\0').length + 1
  }
  t.same(got, names)
  t.equal(generations.size, 1)
  client.write('/d/another', '')
  const [after] = client.ask('DIRECTORY_PART', ['/d', '0']).split('\0')
  t.notOk(generations.has(after!))
  for (const offset of ['-1', '999999', '4294967296', 'x1']) client.ask('DIRECTORY_PART', ['/d', offset])
  t.match(client.ask('DIRECTORY_PART', ['/d', '999999']), /^\d+\0$/)
  t.equal(client.ask('DIRECTORY_PART', ['/d']), 'EINVAL')
  client.ask('MKDIR', ['/empty'])
  t.match(client.ask('DIRECTORY_PART', ['/empty', '0']), /^\d+\0$/)
})

t.test('domains: path, introduction, release, target, resume', async (t) => {
  const store = testXenstore()
  const dom0 = WireClient.dom0(store)
  t.equal(dom0.ask('GET_DOMAIN_PATH', ['007']), '/local/domain/7')
  t.equal(dom0.ask('GET_DOMAIN_PATH', ['x']), 'EINVAL')
  t.equal(dom0.ask('IS_DOMAIN_INTRODUCED', ['5']), 'F')
  t.equal(dom0.ask('INTRODUCE', ['5', '1044476', '1']), 'OK')
  t.equal(dom0.ask('INTRODUCE', ['6', '-4', '1']), 'OK', 'a gfn is signed')
  t.equal(dom0.ask('IS_DOMAIN_INTRODUCED', ['5']), 'T')
  t.equal(dom0.ask('IS_DOMAIN_INTRODUCED', ['0']), 'T')
  t.equal(dom0.ask('IS_DOMAIN_INTRODUCED', ['32752']), 'T', 'DOMID_SELF')
  for (const bad of [
    ['5', '1'],
    ['0', '1', '1'],
    ['5', '1', '0'],
    ['32752', '1', '1'],
    ['', '1', '1'],
    ['70000', '1', '1'],
  ]) {
    t.equal(dom0.ask('INTRODUCE', bad), 'EINVAL', bad.join(' '))
  }
  t.equal(dom0.ask('SET_TARGET', ['5', '6']), 'OK')
  t.equal(dom0.ask('SET_TARGET', ['5', '9']), 'ENOENT')
  t.equal(dom0.ask('RESUME', ['5']), 'OK')
  t.equal(dom0.ask('RESUME', ['9']), 'ENOENT')
  t.equal(dom0.ask('RELEASE', ['0']), 'EINVAL')
  t.equal(dom0.ask('RELEASE', ['5']), 'OK')
  t.equal(dom0.ask('RELEASE', ['5']), 'ENOENT')
  t.equal(dom0.ask('IS_DOMAIN_INTRODUCED', ['5']), 'F')
})

t.test('features: offered ones, per domain, only before it is introduced', async (t) => {
  const store = testXenstore()
  const dom0 = WireClient.dom0(store)
  t.equal(dom0.send('GET_FEATURE', ''), '7')
  t.equal(dom0.ask('GET_FEATURE', ['5']), 'ENOENT')
  t.equal(dom0.ask('SET_FEATURE', ['5', '3']), 'OK')
  t.equal(dom0.ask('GET_FEATURE', ['5']), '3')
  t.equal(dom0.ask('SET_FEATURE', ['5', '8']), 'EINVAL')
  const guest = WireClient.guest(store, 5)
  t.equal(guest.send('GET_FEATURE', ''), '3')
  t.equal(guest.ask('GET_FEATURE', ['5']), 'EACCES')
  t.equal(guest.ask('WATCH', ['x', 'token', '1']), 'EINVAL', 'no watch depth for this one')
  t.equal(dom0.ask('SET_FEATURE', ['5', '7']), 'EBUSY')
})

t.test('CONTROL answers check, print, help and quota; other commands are EINVAL', async (t) => {
  const store = testXenstore()
  const dom0 = WireClient.dom0(store)
  t.equal(dom0.ask('CONTROL', ['check']), 'OK')
  t.equal(dom0.ask('CONTROL', ['print', 'hello']), 'OK')
  t.same(store.logged, ['control: hello'])
  t.match(dom0.ask('CONTROL', ['help']), /^check +\nprint +<string>\n/)
  t.match(dom0.ask('CONTROL', ['quota']), 'nodes            :     1000 Nodes per domain\n')
  t.equal(dom0.ask('CONTROL', ['quota', 'set', 'nodes', '7']), 'OK')
  t.equal(dom0.ask('GET_QUOTA', ['nodes']), '7')
  dom0.ask('INTRODUCE', ['5', '1', '1'])
  t.match(dom0.ask('CONTROL', ['quota', '5']), 'nodes            :        0 (max        7)\n')
  t.equal(dom0.ask('CONTROL', ['quota', '6']), 'ENOENT')
  for (const bad of [
    ['live-update'],
    ['check', 'x'],
    ['print'],
    ['quota', 'set', 'nodes', '0'],
    ['toString'],
    [],
  ]) {
    t.equal(dom0.ask('CONTROL', bad), 'EINVAL', bad.join(' '))
  }
})
