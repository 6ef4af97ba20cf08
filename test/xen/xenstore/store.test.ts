import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import type { Perms } from '../../../src/xen/xenstore/perms.ts'
import { childNames, Store } from '../../../src/xen/xenstore/store.ts'

const perms = (domid: number): Perms => [{ letter: 'n', domid }]
const bytes = (text: string) => new TextEncoder().encode(text)

/** The simplest thing that could be right: one flat map. */
class Model {
  readonly nodes = new Map([['/', { value: '', owner: 0 }]])
  copy(): Model {
    const other = new Model()
    for (const [path, node] of this.nodes) other.nodes.set(path, node)
    return other
  }
  put(path: string, value: string, owner: number): void {
    this.nodes.set(path, { value, owner })
  }
  remove(path: string): void {
    for (const each of [...this.nodes.keys()])
      if (each === path || each.startsWith(`${path}/`)) this.nodes.delete(each)
  }
}

const contents = (store: Store) =>
  [...store.walk('/')].map(([path, node]) => [
    path,
    new TextDecoder().decode(node.value),
    node.perms[0].domid,
  ])
const modelContents = (model: Model) =>
  [...model.nodes].sort(([a], [b]) => walkOrder(a, b)).map(([path, node]) => [path, node.value, node.owner])
const walkOrder = (a: string, b: string) => {
  const [x, y] = [a, b].map((path) => path.replaceAll('/', '\0'))
  return a === '/' ? -1 : b === '/' ? 1 : x! < y! ? -1 : 1
}

const name = fc.constantFrom('a', 'b', 'c', 'a-b', 'B')
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => `/${names.join('/')}`)
const step = fc.record({
  what: fc.constantFrom('put', 'put', 'put', 'remove', 'snapshot' as const),
  tree: fc.nat(3),
  path,
  value: fc.string({ maxLength: 5 }),
  owner: fc.nat(3),
})

t.test(
  'trees and their snapshots hold what a flat map holds, and no change of one is seen in another',
  async (t) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const trees: [Store, Model][] = [[new Store(), new Model()]]
        for (const { what, tree, path, value, owner } of steps) {
          const [store, model] = trees[tree % trees.length]!
          const parent = path.slice(0, path.lastIndexOf('/')) || '/'
          if (what === 'snapshot') trees.push([store.snapshot(), model.copy()])
          else if (what === 'put' && model.nodes.has(parent)) {
            store.put(path, bytes(value), perms(owner))
            model.put(path, value, owner)
          } else if (what === 'remove' && model.nodes.has(path)) {
            store.remove(path)
            model.remove(path)
          }
        }
        for (const [store, model] of trees) {
          assert.deepEqual(contents(store), modelContents(model))
          for (const owner of [0, 1, 2, 3]) {
            const own = [...model.nodes].filter(([, node]) => node.owner === owner)
            const size = own.reduce((sum, [path, node]) => sum + path.length + bytes(node.value).length, 0)
            assert.deepEqual(store.usage(owner), { nodes: own.length, bytes: size })
          }
        }
      }),
      { numRuns: 150 },
    )
    t.pass()
  },
)

t.test('`listed` changes when a child comes or goes, and only then', async (t) => {
  const store = new Store()
  store.put('/a', bytes(''), perms(0))
  const before = store.find('/a')!.listed
  store.put('/a', bytes('x'), perms(1))
  t.equal(store.find('/a')!.listed, before)
  store.put('/a/b', bytes(''), perms(0))
  const withChild = store.find('/a')!.listed
  t.not(withChild, before)
  store.put('/a/b', bytes('2'), perms(0))
  store.put('/a/b/c', bytes(''), perms(0))
  t.equal(store.find('/a')!.listed, withChild)
  store.remove('/a/b')
  t.not(store.find('/a')!.listed, withChild)
})

t.test('children are listed by the order of their bytes', async (t) => {
  const store = new Store()
  for (const each of ['b', 'a', 'B', '10', '9', '@x']) store.put(`/${each}`, bytes(''), perms(0))
  t.same(childNames(store.find('/')!), ['10', '9', '@x', 'B', 'a', 'b'])
})
