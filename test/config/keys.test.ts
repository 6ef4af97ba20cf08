import t from 'tap'
import { KEYS } from '../../src/config/keys.ts'
import { STRUCTURES } from '../../src/config/libxl-layout.ts'
import { nearest } from '../../src/config/nearest.ts'
import { FOR_OTHERS } from '../../src/engine/devices.ts'

t.test('all keys of xl are known, and the two of xt', async (t) => {
  t.equal(KEYS.size, 172 + 2)
})

t.test('keys whose devices xt has no backend for are not documented as used', async (t) => {
  t.same(
    Object.values(FOR_OTHERS),
    [...KEYS.values()].filter(({ effect }) => effect === 'plugin').map(({ key }) => key),
  )
})

t.test('every plain key has its place in a structure of libxl', async (t) => {
  for (const { key, put } of KEYS.values()) {
    if (put === undefined) continue
    let structure = 'domain_config'
    for (const name of put.path) {
      const kind = STRUCTURES[structure]?.find(([field]) => field === name)?.[1]
      t.ok(kind, `${key}: ${structure} has ${name}`)
      structure = kind?.replace(/^@|\?$/g, '') ?? ''
    }
  }
})

t.test('every structure that a field names exists', async (t) => {
  const named = Object.values(STRUCTURES).flatMap((fields) =>
    fields.flatMap(([, kind]) => (kind.startsWith('@') ? [kind.replace(/^@|\?$|\[\]$/g, '')] : [])),
  )
  t.same(
    named.filter((name) => STRUCTURES[name] === undefined),
    [],
  )
})

t.test('the nearest key is at most two slips away', async (t) => {
  t.equal(nearest('memmory', KEYS.keys()), 'memory')
  t.equal(nearest('vpcus', KEYS.keys()), 'vcpus')
  t.equal(nearest('on_rebot', KEYS.keys()), 'on_reboot')
  t.equal(nearest('frobnicate', KEYS.keys()), undefined)
})
