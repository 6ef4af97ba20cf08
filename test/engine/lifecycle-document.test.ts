import { readFileSync } from 'node:fs'
import t from 'tap'
import { CALLS } from '../../src/engine/driver.ts'
import { TRANSITIONS } from '../../src/engine/vm-state.ts'

const text = readFileSync(new URL('../../docs/lifecycle.md', import.meta.url), 'utf8')
const calls = ['setup', ...Object.keys(CALLS), 'dispose'].sort()

t.test('the table has one row for each call there is, and no other', async (t) => {
  const table = text.slice(text.indexOf('| call |'), text.indexOf('All but `setup`'))
  const rows = [...table.matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]!)
  t.same(rows.sort(), calls)
})

t.test('the drawing shows each call once, and no other', async (t) => {
  const drawing = text.split('```')[1]!
  const shown = [...drawing.matchAll(/^[ │]*[├└]─ (\w+)(?:\(ctx\))? {2,}/gm)].map((match) => match[1]!)
  t.same(shown.sort(), calls)
})

t.test('the states are those of the engine', async (t) => {
  const drawing = text.slice(text.indexOf('## States of a VM')).split('```')[1]!
  t.same([...new Set(drawing.match(/[a-z]+/g))].sort(), Object.keys(TRANSITIONS).sort())
})

t.test('the times are those of the engine', async (t) => {
  const driver = readFileSync(new URL('../../src/engine/driver.ts', import.meta.url), 'utf8')
  const vm = readFileSync(new URL('../../src/engine/vm.ts', import.meta.url), 'utf8')
  t.match(driver, /NOTICE_MS = 3000\n/)
  t.match(driver, /LIMIT_MS = 60_000\n/)
  t.match(vm, /PATIENCE_MS = 5000\n/)
  const seconds = [...text.matchAll(/^\| (\d+) s\b/gm)].map((match) => Number(match[1]))
  t.same(seconds, [3, 60, 5])
})
