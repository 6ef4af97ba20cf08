import { readFileSync } from 'node:fs'
import t from 'tap'
import { PAGES } from '../../../scripts/generate-abi-docs.ts'
import { HYPERCALLS } from '../../../src/xen/hypercall/table.ts'

for (const [path, page] of Object.entries(PAGES)) {
  t.test(`${path} is what the tables give`, async (t) => {
    t.equal(readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8'), page())
  })
}

t.test('every number has one row, and every fixed answer a reason', async (t) => {
  t.equal(new Set(HYPERCALLS.map((call) => call.nr)).size, HYPERCALLS.length)
  for (const { subs, name } of HYPERCALLS)
    for (const sub of subs) t.ok(sub.status.length > 0, `${name} ${sub.name}`)
})

t.test('all that a PVH boot calls is served', async (t) => {
  const served = (name: string, ...ops: readonly number[]) => {
    const call = HYPERCALLS.find((row) => row.name === name)
    for (const op of ops) t.equal(call?.subs.find((sub) => sub.op === op)?.status, 'done', `${name} ${op}`)
  }
  served('xen_version', 0, 1, 6)
  served('memory_op', 1, 3, 4, 6, 7, 9, 15, 23)
  served('hvm_op', 0, 1, 23)
  served('vcpu_op', 0, 1, 2, 3, 5, 7, 8, 9, 10, 13)
  served('sched_op', 0, 1, 2, 3, 6)
  served('event_channel_op', 0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
  served('grant_table_op', 2, 5, 6, 8, 10)
})
