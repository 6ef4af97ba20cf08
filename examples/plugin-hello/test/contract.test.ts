/** The backend keeps the contract of all PV backends, and the stanza takes what its README says. */
import assert from 'node:assert/strict'
import * as test from 'node:test'
import { backendContract } from 'xt/testkit'
import { HelloBackend } from '../src/backend.ts'
import { helloDevice, helloStanza } from '../src/device.ts'
import { helloScript } from './frontend.ts'

backendContract(test, (host) => ({
  driver: {
    type: 'hello',
    device: helloDevice,
    connectOn: 'Initialised',
    create: (xenhost, _device, otherend) => new HelloBackend(xenhost, otherend, 'hello, test', host.log),
  },
  device: { id: 0 },
  place: { id: 0 },
  script: helloScript('hello, test'),
}))

test.test('the stanza takes key=value items', () => {
  const devices = helloStanza.parse(['id=0,greeting=good day', 'id=7'])
  assert.deepEqual(devices, [{ id: 0, greeting: 'good day' }, { id: 7 }])
})

for (const wrong of [['id'], ['id=x'], ['colour=blue'], ['id=1', 'id=1'], 'id=0'])
  test.test(`the stanza refuses ${JSON.stringify(wrong)}`, () => {
    assert.equal(helloStanza.safeParse(wrong).success, false)
  })
