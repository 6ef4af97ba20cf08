/**
 * Guests compared between the interpreter, the translator as it is used, and everything translated: the registers and
 * flags at every taken branch, and all of RAM at the end. A whole boot: `npm run compare-boots`.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { debianKernel } from '../../scripts/assets/fetch-debian-kernel.ts'
import { initramfs } from '../../scripts/assets/make-initramfs.ts'
import {
  CHECKPOINT,
  type ComparedGuest,
  type CompareMode,
  findDifference,
  partedAfter,
  type Run,
  runGuest,
} from '../../scripts/compare/compare.ts'
import { describeDifference } from '../../scripts/compare/report.ts'
import { GUESTS } from './list.ts'

t.setTimeout(600_000)

/** Where the beginning of a boot ends: paging, the kernel's own patching of its code and its first exceptions are before. */
const BOOT_EVENTS = 2_000_000
const CHOSEN = new Set(
  'page-fault-codes string-faults self-modifying-code exception-rips single-step syscall-sysret interrupt-window lapic-timer event-channels'.split(
    ' ',
  ),
)

/** A guest that runs to its own end. */
const machineFor = (more: Pick<ComparedGuest, 'kernel'> & Partial<ComparedGuest>): ComparedGuest => ({
  cmdline: '',
  memoryMiB: 64,
  traced: 'all',
  isEnough: () => false,
  ...more,
})

/** Compares a guest in some modes with the interpreter; the run of the interpreter. */
async function compare(t: Test, guest: ComparedGuest, ...modes: CompareMode[]): Promise<Run> {
  const reference = await runGuest(guest, 'off')
  t.equal(reference.counters.regionsMade, 0)
  for (const mode of modes) {
    const run = await runGuest(guest, mode)
    const after = partedAfter(reference, run)
    if (after !== undefined)
      t.fail(describeDifference(await findDifference(guest, ['off', mode], after), ['off', mode]))
    t.equal(run.events, reference.events)
    t.same(run.pages, reference.pages, 'RAM is the same')
    if (mode !== 'normal') t.ok(run.counters.regionsMade > 0, 'regions ran')
  }
  return reference
}

const guests = GUESTS.filter(({ name }) => CHOSEN.has(name))
t.equal(guests.length, CHOSEN.size, 'all chosen guests exist')
for (const { name, build } of guests) {
  t.test(`${name} is the same in all modes`, async (t) => {
    const { console } = await compare(t, machineFor({ kernel: build() }), 'normal', 'forced')
    t.match(console, /PASS\r\n$/)
  })
}

t.test('a difference is found at the event that shows it', async (t) => {
  const { build } = GUESTS.find(({ name }) => name === 'lapic-timer')!
  const disturbed: CompareMode = 'normal'
  const guest = machineFor({
    kernel: build(),
    disturb: { at: 999, mode: disturbed, change: ({ state }) => (state.regs[15] = 0x1234n) },
  })
  const [a, b] = [await runGuest(guest, 'off'), await runGuest(guest, disturbed)]
  t.equal(partedAfter(a, b), 0)
  const difference = await findDifference(guest, ['off', disturbed], 0)
  t.equal(difference?.before?.number, 999)
  t.same(
    difference?.events.map((event) => event?.number),
    [1000, 1000],
  )
  t.equal(difference?.events[1]?.registers[15], 0x1234n)
})

t.test('the command compares a guest from a file, by itself and to the end', async (t) => {
  const kernel = join(t.testdir({}), 'guest.elf')
  writeFileSync(kernel, GUESTS.find(({ name }) => name === 'lapic-timer')!.build())
  const script = join(import.meta.dirname, '../../scripts/compare-boots.ts')
  const words = [script, '--kernel', kernel, '--modes', 'off,normal', '--memory', '64', '--until', 'PASS']
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' })
  t.equal(status, 0, stderr)
  t.match(stdout + stderr, /off and normal are alike, and so is all of RAM at the end\n$/)
})

const files = await debianKernel()
  .then(async ({ vmlinuz }) => ({ kernel: readFileSync(vmlinuz), ramdisk: readFileSync(await initramfs()) }))
  .catch((error: Error) => error.message)

t.test(
  "the beginning of a boot of Debian's kernel is the same in all modes",
  { skip: typeof files === 'string' && files },
  async (t) => {
    if (typeof files === 'string') return
    const guest = machineFor({
      ...files,
      cmdline: 'console=hvc0 nokaslr',
      memoryMiB: 256,
      mostEvents: BOOT_EVENTS,
    })
    const { events, hashes } = await compare(t, guest, 'normal', 'eager', 'forced')
    t.equal(events, BOOT_EVENTS)
    t.equal(hashes.length, Math.floor(BOOT_EVENTS / CHECKPOINT) + 1)
  },
)
