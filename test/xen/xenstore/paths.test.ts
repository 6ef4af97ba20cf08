import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { domainTree, hostTree } from '../../../src/xen/xenstore/domain-tree.ts'
import { ACCESS, PATHS, pathRow, valueFits } from '../../../src/xen/xenstore/paths.ts'

/** What a device model in dom0 keeps, libxl's device model of dom0 itself, and nodes of no consequence. */
const notOurs = [
  /^\/local\/domain\/0\/(control|device-model|memory)/,
  /^\/local\/domain\/0\/backend\/qdisk/,
  /\/(image|error\/device)(\/|$)/,
  /^\/local\/domain\/\d+\/console\/vnc-/,
  /^\/vm\/[^/]+\/memory$/,
  // libxl 4.17 takes the name of an interface for a domid.
  /^\/local\/domain\/myvif/,
]

const fixtures = new URL('./fixtures/', import.meta.url)
const trees = readdirSync(fixtures).filter((name) => name.endsWith('.txt'))

for (const tree of trees) {
  t.test(`${tree}: every node of a real Xen is in the list, with its type and permissions`, async (t) => {
    const lines = readFileSync(new URL(tree, fixtures), 'utf8').trimEnd().split('\n')
    let known = 0
    for (const line of lines) {
      const [, path = '', value = '', perms = ''] = /^(\S+) = "(.*)" {3}\((.*)\)$/.exec(line) ?? []
      if (notOurs.some((each) => each.test(path))) continue
      const row = pathRow(path)
      if (row === undefined) {
        t.fail(`not in the list: ${line}`)
        continue
      }
      known++
      const domid = /[1-9]\d*/.exec(perms)?.[0] ?? '0'
      const expected = ACCESS[row.access].map((perm) => perm.replace('$DOMID', domid)).join(',')
      if (perms !== expected) t.fail(`${line}: ${row.access}`)
      if (!valueFits(row.type, value)) t.fail(`${line}: ${row.type}`)
    }
    t.ok(known > 50)
  })
}

t.test('what we write for a domain is in the list', async (t) => {
  const nodes = domainTree({
    domid: 5,
    name: 'x',
    uuid: '00000000-1111-2222-3333-444444444401',
    vcpus: 1,
    maxVcpus: 2,
    staticMaxKiB: 1024,
    targetKiB: 1024,
    startTimeSeconds: 1,
    store: { port: 1, gfn: 1 },
    console: { port: 2, gfn: 2, tty: '/x' },
  })
  t.same(
    [...hostTree(), ...nodes].filter(({ path, value }) => {
      const row = pathRow(path)
      return row === undefined || !valueFits(row.type, value)
    }),
    [],
  )
})

t.test('each path stands in the list once, and paths beside it are not known', async (t) => {
  const patterns = PATHS.map((row) => row.pattern)
  t.equal(new Set(patterns).size, patterns.length)
  t.equal(pathRow('/local/domain/5/device/vbd/51712/nosuch'), undefined)
  t.equal(pathRow('/local/domain/05'), undefined)
  t.equal(pathRow('/local/domain/0/backend/vbd/5/51712/queue-1'), undefined)
  t.equal(pathRow('/local/domain/5/device/vif/0/queue-1/tx-ring-ref')?.writer, 'frontend')
})

t.test('values fit their types or not', async (t) => {
  t.ok(valueFits('number', '18446744073709551615'))
  t.notOk(valueFits('number', '0x10'))
  t.notOk(valueFits('state', '9'))
  t.notOk(valueFits('flag', '2'))
  t.notOk(valueFits('path', 'relative'))
  t.notOk(valueFits('mac', '00:16:3e:11:22'))
  t.ok(valueFits('state', ''), 'made, and not given a value yet')
})
