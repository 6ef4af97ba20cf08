import { readFileSync } from 'node:fs'
import t from 'tap'
import { PAGES } from '../../../scripts/generate-abi-docs.ts'
import { XENMEM } from '../../../src/xen/abi/memory.ts'
import { HYPERVISOR } from '../../../src/xen/abi/xen.ts'
import { HYPERCALLS, missingCalls } from '../../../src/xen/hypercall/table.ts'
import { FakeVcpu, testDomain } from '../fake-vcpu.ts'

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

t.test('what a guest calls in vain can be listed afterwards', async (t) => {
  const domain = testDomain()
  const vcpu = new FakeVcpu(domain)
  t.strictSame(missingCalls(domain), [])
  vcpu.hypercall(HYPERVISOR.mmuext_op, 5)
  vcpu.hypercall(HYPERVISOR.memory_op, XENMEM.reserved_device_memory_map)
  vcpu.hypercall(HYPERVISOR.sched_op, 1000)
  vcpu.hypercall(55)
  t.strictSame(missingCalls(domain), [
    'memory_op XENMEM_reserved_device_memory_map',
    '__HYPERVISOR_mmuext_op',
    'sched_op 63',
    '__HYPERVISOR 0x37',
  ])
})
