import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { type DomainTreeInput, domainTree, hostTree } from '../../../src/xen/xenstore/domain-tree.ts'
import { testXenstore, WireClient } from './wire-client.ts'

/** `xenstore-ls -fp` after `xl create -p` on a real Xen, the lines of one domain. */
function golden(file: string, domid: number, uuid: string): string[] {
  const text = readFileSync(new URL(`./fixtures/${file}`, import.meta.url), 'utf8')
  const own = new RegExp(`^/(local/domain|libxl|local/domain/0/backend/console)/${domid}[ /]|^/vm/${uuid}`)
  return text
    .trimEnd()
    .split('\n')
    .filter((line) => own.test(line))
}

/** The same form, of nodes written to a store in memory. */
function listing(input: DomainTreeInput): string[] {
  const store = testXenstore()
  const dom0 = WireClient.dom0(store)
  for (const { path, value, perms } of [...hostTree(), ...domainTree(input)]) {
    assert.equal(dom0.write(path, value), 'OK')
    if (perms !== undefined) assert.equal(dom0.ask('SET_PERMS', [path, ...perms]), 'OK')
  }
  return [...store.xenstore.store.walk('/')].map(([path, node]) => {
    const perms = node.perms.map((perm) => `${perm.letter}${perm.domid}`).join(',')
    return `${path} = "${new TextDecoder().decode(node.value)}"   (${perms})`
  })
}

const common = {
  store: { port: 1, gfn: 1044476 },
  staticMaxKiB: 262144,
  targetKiB: 262144,
}

t.test('a PVH guest with only a console has the tree that libxl gives it', async (t) => {
  const uuid = '00000000-1111-2222-3333-444444444401'
  const got = listing({
    ...common,
    domid: 6,
    name: 'con',
    uuid,
    vcpus: 1,
    maxVcpus: 1,
    startTimeSeconds: 1795346433,
    console: { port: 2, gfn: 1044479, tty: '/dev/pts/0' },
  })
  const expected = golden('pvh-console-paused.txt', 6, uuid)
  t.ok(expected.length > 60)
  t.same(
    got.filter((line) => expected.includes(line)),
    expected,
  )
  const others = got.filter((line) => !expected.includes(line))
  t.notOk(
    others.some((line) => /\b6\b/.test(line)),
    'and no more',
  )
})

t.test('vCPUs that are not online yet are offline', async (t) => {
  const uuid = '00000000-1111-2222-3333-444444444406'
  const expected = golden('pvh-vcpus-paused.txt', 11, uuid)
  const startTime = Number(/start_time = "([\d.]+)"/.exec(expected.join('\n'))![1])
  const tty = /console\/tty = "([^"]*)"/.exec(expected.join('\n'))![1]!
  const got = listing({
    ...common,
    domid: 11,
    name: 'vcpus',
    uuid,
    vcpus: 2,
    maxVcpus: 4,
    startTimeSeconds: startTime,
    console: { port: 2, gfn: 1044479, tty },
  })
  t.same(
    got.filter((line) => expected.includes(line)),
    expected,
  )
})
