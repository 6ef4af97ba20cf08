import fc from 'fast-check'
import t from 'tap'
import { orderPlugins, type PluginNode, phases, type Rank } from '../../src/engine/graph.ts'

t.test('plugins stand in list order where nothing else is said', async (t) => {
  const { order } = orderPlugins([{ name: 'b' }, { name: 'a' }, { name: 'c' }], [])
  t.same(order, ['b', 'a', 'c'])
})

t.test('a provider comes just before the first plugin that requires it', async (t) => {
  const { order, dependencies } = orderPlugins(
    [
      { name: 'vbd', requires: ['pvBus'] },
      { name: 'hello' },
      { name: 'xen-shim', provides: ['pvBus'], requires: ['guestMemory'] },
    ],
    ['guestMemory'],
  )
  t.same(order, ['xen-shim', 'vbd', 'hello'])
  t.same(dependencies.get('vbd'), ['xen-shim'])
  t.same(dependencies.get('xen-shim'), [])
})

t.test('a requirement that nobody meets names the plugin, the capability and who is there', async (t) => {
  t.throws(() => orderPlugins([{ name: 'vbd', requires: ['pvBus'] }, { name: 'console' }], []), {
    code: 'XT_CAPABILITY_UNMET',
    message: 'vbd requires pvBus, provided by none of: console',
  })
})

t.test('plugins that require one another in a circle are named in order', async (t) => {
  const ring: PluginNode[] = [
    { name: 'a', provides: ['x'], requires: ['y'] },
    { name: 'b', provides: ['y'], requires: ['z'] },
    { name: 'c', provides: ['z'], requires: ['x'] },
  ]
  t.throws(() => orderPlugins(ring, []), {
    code: 'XT_CAPABILITY_CYCLE',
    message: 'plugins require one another in a circle: a → b → c → a',
  })
})

t.test('two providers of one capability are refused by name, also when one is the engine', async (t) => {
  const cpus = [
    { name: 'cpu-kvm', provides: ['vcpus'] },
    { name: 'cpu-software', provides: ['vcpus'] },
  ]
  t.throws(() => orderPlugins(cpus, []), {
    message: 'cpu-kvm and cpu-software both provide vcpus; exactly one may',
  })
  t.throws(() => orderPlugins([{ name: 'mine', provides: ['exits'] }], ['exits']), {
    message: 'the engine and mine both provide exits; exactly one may',
  })
})

t.test('two plugins of one name are refused', async (t) => {
  t.throws(() => orderPlugins([{ name: 'a' }, { name: 'a' }], []), { code: 'XT_PLUGIN_TWICE' })
})

/** Plugins 0..n-1, each requiring what some before it in a hidden order provide; the list is shuffled. */
const acyclic = fc
  .array(fc.array(fc.nat(9), { maxLength: 3 }), { minLength: 1, maxLength: 10 })
  .chain((wishes) => {
    const nodes = wishes.map((wish, index) => ({
      name: `p${index}`,
      provides: [`c${index}`],
      requires: [...new Set(wish.filter((other) => other < index))].map((other) => `c${other}`),
    }))
    return fc.shuffledSubarray(nodes, { minLength: nodes.length, maxLength: nodes.length })
  })

t.test('whatever the list, everybody appears once and after those it depends on', async () => {
  fc.assert(
    fc.property(acyclic, (nodes) => {
      const { order } = orderPlugins(nodes, [])
      const place = (name: string) => order.indexOf(name)
      return (
        new Set(order).size === nodes.length &&
        nodes.every(({ name, requires }) =>
          requires.every((need) => place(`p${need.slice(1)}`) < place(name)),
        )
      )
    }),
  )
})

t.test('phases put pre before post, but nobody before what it depends on', async () => {
  fc.assert(
    fc.property(
      acyclic,
      fc.array(fc.constantFrom<Rank>(-1, 0, 1), { minLength: 10, maxLength: 10 }),
      (nodes, ranks) => {
        const graph = orderPlugins(nodes, [])
        const rank = (name: string) => ranks[Number(name.slice(1))]!
        const groups = phases(graph, rank)
        const group = (name: string) => groups.findIndex((names) => names.includes(name)) - 1
        return (
          groups.flat().length === nodes.length &&
          nodes.every(({ name }) => {
            const dependencies = graph.dependencies.get(name)!
            const latest = Math.max(rank(name), ...dependencies.map(group))
            return group(name) === latest
          })
        )
      },
    ),
  )
})
