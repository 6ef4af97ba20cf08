/**
 * `npm run compare-boots`: boots Debian's cloud kernel to the first line of its init once in each mode of the translator,
 * with all that happens to it at the same moments, and compares the registers and flags at every taken branch, the vector
 * registers now and then, and all of RAM at the end.
 *
 *   --modes off,normal,eager,forced      which (compare/compare.ts), each with the first; forced takes minutes
 *   --events N                    no further than that
 *   --without-flags               regions may leave out flags that nobody reads, as they usually do
 *   --until TEXT                  until the console shows it
 *   --memory MIB
 *   --kernel FILE --ramdisk FILE --cmdline TEXT      another guest; it must have no other source of time or chance
 *
 * Where two runs part, the first event that differs is shown with the registers of both, and the status is 1.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { debianKernel } from './assets/fetch-debian-kernel.ts'
import { initramfs } from './assets/make-initramfs.ts'
import {
  COMPARE_MODES,
  type ComparedGuest,
  type CompareMode,
  findDifference,
  partedAfter,
  type Run,
  runGuest,
} from './compare/compare.ts'
import { describeDifference, describeRun } from './compare/report.ts'

const say = (text: string) => process.stdout.write(`${text}\n`)
const { values } = parseArgs({
  options: {
    modes: { type: 'string', default: Object.keys(COMPARE_MODES).join() },
    events: { type: 'string', default: 'Infinity' },
    until: { type: 'string', default: 'xt: init started' },
    memory: { type: 'string', default: '256' },
    'without-flags': { type: 'boolean', default: false },
    kernel: { type: 'string' },
    ramdisk: { type: 'string' },
    // The kernel's place would be random.
    cmdline: { type: 'string', default: 'console=hvc0 nokaslr' },
  },
})
const modes = values.modes.split(',') as CompareMode[]
const [mostEvents, memoryMiB] = [Number(values.events), Number(values.memory)]
if (!modes.every((mode) => mode in COMPARE_MODES) || !(mostEvents >= 1) || !(memoryMiB >= 64)) {
  const known = Object.keys(COMPARE_MODES).join(', ')
  process.stderr.write(`--modes is a list of ${known}; --events is from 1 on, --memory from 64 MiB on\n`)
  process.exit(2)
}
process.exitCode = (await compareBoots()) ? 0 : 1

async function compareBoots(): Promise<boolean> {
  const guest: ComparedGuest = {
    ...(await files()),
    cmdline: values.cmdline,
    memoryMiB,
    mostEvents,
    traced: values['without-flags'] ? 'registers' : 'all',
    isEnough: (console) => console.includes(values.until),
  }
  const reference = await runGuest(guest, modes[0]!)
  say(describeRun(reference))
  let isAlike = true
  for (const mode of modes.slice(1)) {
    const run = await runGuest(guest, mode)
    say(describeRun(run))
    const problem = await problemOf(guest, reference, run)
    if (problem !== undefined) isAlike = false
    say(problem ?? `${reference.mode} and ${mode} are alike, and so is all of RAM at the end`)
  }
  return isAlike
}

async function files(): Promise<Pick<ComparedGuest, 'kernel' | 'ramdisk'>> {
  const { kernel, ramdisk } = values
  if (kernel !== undefined)
    return { kernel: readFileSync(kernel), ...(ramdisk && { ramdisk: readFileSync(ramdisk) }) }
  const { vmlinuz, release } = await debianKernel({ onProgress: say })
  say(`${release} up to "${values.until}"`)
  return {
    kernel: readFileSync(vmlinuz),
    ramdisk: readFileSync(ramdisk ?? (await initramfs({ onProgress: say }))),
  }
}

/** How two runs differ; undefined if they do not. */
async function problemOf(guest: ComparedGuest, a: Run, b: Run): Promise<string | undefined> {
  const both = [a.mode, b.mode] as const
  const after = partedAfter(a, b)
  if (after !== undefined) {
    say(`${a.mode} and ${b.mode} part after event ${after}; running both again ...`)
    return describeDifference(await findDifference(guest, both, after), both)
  }
  const pages = a.pages.filter((page, n) => page !== b.pages[n]).length
  if (pages === 0) return undefined
  return `${a.mode} and ${b.mode} have the same registers at every event, but ${pages} pages of RAM differ at the end`
}
