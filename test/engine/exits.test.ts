import fc from 'fast-check'
import t from 'tap'
import { XtError } from '../../src/base/errors.ts'
import { ExitRegistry } from '../../src/engine/exits.ts'
import type { Range } from '../../src/engine/plugin.ts'

const module = 'file:///x.js'

t.test('claims come out frozen, in order, with the plugin that made them', async (t) => {
  const registry = new ExitRegistry()
  registry.forPlugin('xen-shim').claim({ module, hypercalls: [12, 17], cpuid: [[0x40000000, 0x400000ff]] })
  registry.forPlugin('mine').claim({ module, ports: [[0xe9, 0xe9]], data: { level: 3 } })
  const frozen = registry.freeze()
  t.match(frozen.parts, [
    { plugin: 'xen-shim', hypercalls: [12, 17] },
    { plugin: 'mine', data: { level: 3 } },
  ])
  t.ok(Object.isFrozen(frozen.parts))
})

t.test('a second claim of one entry names the entry and both plugins', async (t) => {
  const registry = new ExitRegistry()
  registry.forPlugin('xen-shim').claim({ module, hypercalls: [12], msrs: [[0x40000000, 0x40000010]] })
  t.throws(() => registry.forPlugin('mine').claim({ module, hypercalls: [3, 12] }), {
    code: 'XT_EXIT_CONFLICT',
    message: 'xen-shim and mine both claim hypercall 12',
  })
  t.throws(() => registry.forPlugin('mine').claim({ module, msrs: [[0x4000000f, 0x40000020]] }), {
    message: 'xen-shim and mine both claim MSR 0x4000000f-0x40000010',
  })
})

t.test('a plugin that claims an entry twice is told so, in one claim or in two', async (t) => {
  const registry = new ExitRegistry()
  const mine = registry.forPlugin('mine')
  t.throws(
    () =>
      mine.claim({
        module,
        ports: [
          [0x60, 0x64],
          [0x64, 0x64],
        ],
      }),
    {
      message: 'mine claims port 0x64 twice',
    },
  )
  mine.claim({ module, ports: [[0x60, 0x64]] })
  t.throws(() => mine.claim({ module, ports: [[0x60, 0x60]] }), { message: 'mine claims port 0x60 twice' })
})

t.test('a refused claim takes nothing', async (t) => {
  const registry = new ExitRegistry()
  registry.forPlugin('a').claim({ module, hypercalls: [1] })
  t.throws(() => registry.forPlugin('b').claim({ module, hypercalls: [2, 1] }))
  registry.forPlugin('c').claim({ module, hypercalls: [2] })
  t.same(
    registry.freeze().parts.map(({ plugin }) => plugin),
    ['a', 'c'],
  )
})

t.test('claims after the tables were frozen are refused', async (t) => {
  const registry = new ExitRegistry()
  registry.freeze()
  t.throws(() => registry.forPlugin('late').claim({ module }), { code: 'XT_EXIT_LATE' })
})

t.test('ranges that are none are refused', async (t) => {
  const mine = new ExitRegistry().forPlugin('mine')
  const bad: readonly Range[] = [
    [5, 4],
    [-1, 3],
    [0, 0x10000],
    [1.5, 2],
  ]
  for (const range of bad) {
    t.throws(() => mine.claim({ module, ports: [range] }), { code: 'XT_EXIT_INVALID' }, String(range))
  }
})

t.test('a claim is refused exactly if one of its numbers is taken', async () => {
  const ranges = fc.array(
    fc.tuple(fc.nat(40), fc.nat(6)).map(([first, more]): Range => [first, first + more]),
    { minLength: 1, maxLength: 6 },
  )
  fc.assert(
    fc.property(ranges, (claims) => {
      const registry = new ExitRegistry()
      const taken = new Set<number>()
      for (const [index, [first, last]] of claims.entries()) {
        const numbers = Array.from({ length: last - first + 1 }, (_, step) => first + step)
        const free = numbers.every((number) => !taken.has(number))
        let accepted = true
        try {
          registry.forPlugin(`p${index}`).claim({ module, ports: [[first, last]] })
        } catch (error) {
          if (!(error instanceof XtError)) throw error
          accepted = false
        }
        if (accepted !== free) return false
        if (accepted) for (const number of numbers) taken.add(number)
      }
      return true
    }),
  )
})
