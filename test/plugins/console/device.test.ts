import t from 'tap'
import { consoleSettings } from '../../../src/plugins/console/device.ts'

t.test('settings have defaults, and unknown ones are refused', async (t) => {
  t.same(consoleSettings.parse({}), { scrollbackBytes: 1048576, logBytes: 67108864 })
  t.throws(() => consoleSettings.parse({ scrollback: 5 }))
  t.throws(() => consoleSettings.parse({ scrollbackBytes: 0 }))
})
