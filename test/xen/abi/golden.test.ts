import { readFileSync } from 'node:fs'
import t from 'tap'
import { cannotProbe, GOLDEN, type Golden, probe } from '../../../scripts/abi-probe.ts'
import { keyOf, numbersOf, XEN_STRUCTS } from '../../../src/xen/abi/all.ts'

const golden = JSON.parse(readFileSync(GOLDEN, 'utf8')) as Golden

t.test('every structure has the sizes and offsets of Xen 4.17, for 64- and 32-bit guests', async (t) => {
  const declared = Object.fromEntries(
    XEN_STRUCTS.flatMap((s) => s.abis.map((abi) => [keyOf(s, abi), numbersOf(s, abi)])),
  )
  t.strictSame(declared, golden)
  t.ok(Object.keys(golden).length > 80)
})

t.test(
  "the committed numbers are what the distribution's headers give",
  { skip: cannotProbe() ?? false },
  async (t) => {
    t.strictSame(probe(), golden)
  },
)
