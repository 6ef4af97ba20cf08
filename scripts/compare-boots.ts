/**
 * `npm run compare-boots [-- --modes off,normal,forced] [--events N] [--until TEXT] [--memory MIB]`: boots Debian's cloud kernel to the
 * first line of its init once in each mode of the translator, with all that happens to it at the same moments, and
 * compares the registers and flags at every taken branch, the vector registers now and then, and the memory at the end.
 *
 * Where two runs part, the first event that differs is shown with the registers of both, and the status is 1.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import {
  TRANSLATION_MODES,
  type TranslationMode,
} from '../src/plugins/cpu-software/translate/translator.ts'
import { debianKernel } from './assets/fetch-debian-kernel.ts'
import { initramfs } from './assets/make-initramfs.ts'
import { type ComparedGuest, findDifference, partedAfter, type Run, runGuest } from './compare/compare.ts'
import { describeDifference, describeRun } from './compare/report.ts'

const say = (text: string) => process.stdout.write(`${text}\n`)
const { values } = parseArgs({
  options: {
    modes: { type: 'string', default: TRANSLATION_MODES.join() },
    events: { type: 'string', default: 'Infinity' },
    until: { type: 'string', default: 'xt: init started' },
    memory: { type: 'string', default: '256' },
  },
})
const modes = values.modes.split(',') as TranslationMode[]
const [mostEvents, memoryMiB] = [Number(values.events), Number(values.memory)]
if (!modes.every((mode) => TRANSLATION_MODES.includes(mode)) || !(mostEvents > 0) || !(memoryMiB >= 64)) {
  process.stderr.write(
    `--modes is a list of ${TRANSLATION_MODES.join(', ')}; --events a number from 1 on, --memory one from 64 on\n`,
  )
  process.exit(2)
}
process.exitCode = (await compareBoots()) ? 0 : 1

async function compareBoots(): Promise<boolean> {
  const { vmlinuz, release } = await debianKernel({ onProgress: say })
  const guest: ComparedGuest = {
    kernel: readFileSync(vmlinuz),
    ramdisk: readFileSync(await initramfs({ onProgress: say })),
    // Nothing may be random: the kernel's place is not.
    cmdline: 'console=hvc0 nokaslr',
    memoryMiB,
    mostEvents,
    isEnough: (console) => console.includes(values.until),
  }
  say(`${release} up to "${values.until}"`)
  let first: Run | undefined
  let isAlike = true
  for (const mode of modes) {
    const run = await runGuest(guest, mode)
    say(describeRun(run))
    if (first === undefined) {
      first = run
      continue
    }
    const after = partedAfter(first, run)
    if (after !== undefined) {
      isAlike = false
      say(`${first.mode} and ${mode} part after event ${after}; running both again ...`)
      const difference = await findDifference(guest, [first.mode, mode], after)
      say(describeDifference(difference, [first.mode, mode]))
      continue
    }
    const pages = first.pages.filter((page, n) => page !== run.pages[n]).length
    if (pages > 0) {
      isAlike = false
      say(`${first.mode} and ${mode} have the same registers at every event, but ${pages} pages of RAM differ at the end`)
    } else say(`${first.mode} and ${mode} are alike, and so is all of RAM at the end`)
  }
  return isAlike
}
