/** Every micro-guest on the software CPU: its claim holds. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { GUESTS } from './list.ts'
import { runGuest } from './run.ts'

t.setTimeout(600_000)

const home = mkdtempSync(join(tmpdir(), 'xt-'))
t.teardown(() => rmSync(home, { recursive: true, force: true, maxRetries: 5 }))

for (const guest of GUESTS) {
  t.test(`${guest.name}: ${guest.claim}`, async (t) => {
    t.setTimeout(120_000)
    t.same(await runGuest(guest, home), { verdict: 'PASS', lines: [], errors: '' })
  })
}
