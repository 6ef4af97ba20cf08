import t from 'tap'
import { domainSchema } from '../../src/config/schema.ts'
import { actionFor, preservedName, stepsOf } from '../../src/engine/actions.ts'

const config = domainSchema.parse({
  name: 'g',
  uuid: '00000000-1111-2222-3333-444444444444',
  type: 'pvh',
  memoryKiB: 65536,
  maxMemoryKiB: 65536,
  maxVcpus: 1,
  onPoweroff: 'preserve',
  onCrash: 'coredump-restart',
  onWatchdog: 'restart',
})

t.test('each reason has its own setting; a suspended guest stays, an unknown reason destroys', async (t) => {
  const actions = [0, 1, 2, 3, 4, 5, 6].map((reason) => actionFor(config, reason))
  t.same(actions, ['preserve', 'restart', 'preserve', 'coredump-restart', 'restart', 'soft-reset', 'destroy'])
})

t.test('an action is a sequence of steps', async (t) => {
  const words = (action: Parameters<typeof stepsOf>[0]) =>
    Object.entries(stepsOf(action))
      .filter(([, wanted]) => wanted)
      .map(([step]) => step)
  t.same(words('destroy'), [])
  t.same(words('restart'), ['restart'])
  t.same(words('rename-restart'), ['rename', 'keep', 'restart'])
  t.same(words('preserve'), ['keep'])
  t.same(words('coredump-destroy'), ['dump'])
  t.same(words('coredump-restart'), ['dump', 'restart'])
  t.same(words('soft-reset'), [])
})

t.test('a guest that is kept gets its minute in UTC as a suffix, as xl writes it', async (t) => {
  t.equal(preservedName('rst', new Date('2026-11-22T12:21:59Z')), 'rst-20261122T1221Z')
})
