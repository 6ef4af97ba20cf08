/** Micro-guests whose claims a translator could break, with all 64-bit code translated at its first execution. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { GUESTS } from './list.ts'
import { runGuest } from './run.ts'

t.setTimeout(600_000)

const home = mkdtempSync(join(tmpdir(), 'xt-'))
t.teardown(() => rmSync(home, { recursive: true, force: true, maxRetries: 5 }))
process.env['XT_TRANSLATION'] = 'forced'

const CHOSEN = new Set(
  'page-fault-codes self-modifying-code exception-rips single-step string-faults syscall-sysret interrupt-window'.split(
    ' ',
  ),
)
const guests = GUESTS.filter(({ name }) => CHOSEN.has(name))
t.equal(guests.length, CHOSEN.size, 'all chosen guests exist')
for (const guest of guests) {
  t.test(`${guest.name}, translated: ${guest.claim}`, async (t) => {
    t.setTimeout(120_000)
    t.same(await runGuest(guest, home), { verdict: 'PASS', lines: [], errors: '' })
  })
}
