/** Micro-guests on QEMU where it is installed: a claim that holds on two machines is hardly the guest's own mistake. */
import t from 'tap'
import { GUESTS } from './list.ts'
import { runOnQemu, whyNoQemu } from './qemu.ts'

t.setTimeout(600_000)

/** What QEMU's emulation leaves out or answers otherwise than the manual (seen with 7.2). */
const QEMU_DIFFERS: Readonly<Record<string, string>> = {
  'page-fault-codes': 'reserved bits are reported without P',
  'string-faults': 'XCHG and CMPXCHG fault as reads',
  'exception-rips': 'INT1, IDT limits, unknown MSRs and reserved CR bits',
  'non-canonical': 'the stack segment makes no difference, WRMSR takes any base',
  'fpu-traps': 'alignment and unmasked SSE exceptions are not checked',
  'segment-limits': 'segment limits and types are not checked',
  'syscall-sysret': 'LSTAR takes any address',
}

const missing = whyNoQemu()
for (const guest of GUESTS) {
  if (guest.needsXen) continue
  const differs = QEMU_DIFFERS[guest.name]
  const skip = missing ?? (differs === undefined ? undefined : `QEMU differs: ${differs}`)
  t.test(`${guest.name} passes on QEMU`, skip === undefined ? {} : { skip }, async (t) => {
    t.setTimeout(120_000)
    t.same(runOnQemu(guest, t.testdir()), ['PASS'])
  })
}
