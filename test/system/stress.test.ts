/** Programs that work a guest's processors hard and check what they computed, on one and on two vCPUs. */
import t from 'tap'
import type { CpioEntry } from '../../scripts/assets/cpio.ts'
import { debianKernel } from '../../scripts/assets/fetch-debian-kernel.ts'
import { initramfs, runArgument } from '../../scripts/assets/make-initramfs.ts'
import { COMPLAINTS, stressNg, stressNgCommand, stressProgram } from '../../scripts/stress/guest-files.ts'
import { finished } from '../commands/fake-domain.ts'
import { debianArguments, GuestLab } from './guest.ts'

t.setTimeout(900_000)

const kernel = await debianKernel().catch((error: Error) => error.message)
const program = stressProgram()
const ng = stressNg()

/** What the guest printed while it ran `script`; it has ended. */
async function run(
  lab: GuestLab,
  extra: readonly CpioEntry[],
  vcpus: number,
  script: string,
): Promise<string> {
  if (typeof kernel === 'string') throw new Error(kernel)
  const files = { vmlinuz: kernel.vmlinuz, ramdisk: await initramfs({ extra }) }
  const settings = { name: 'stress', vcpus, extra: `console=hvc0 ${runArgument(script)}` }
  const { stdout } = await finished(lab.start(...debianArguments(files, settings), '-F', '-c'))
  return stdout
}

for (const vcpus of [1, 2]) {
  const skip = typeof kernel === 'string' ? kernel : typeof program === 'string' ? program : false
  t.test(
    `${vcpus} vCPUs: forks, signals, mappings, written code and contending threads come out right`,
    { skip },
    async (t) => {
      if (typeof program === 'string') return
      const output = await run(new GuestLab(t), [program], vcpus, 'stress 6 1')
      t.notMatch(output, COMPLAINTS)
      t.match(output, /^stress: all ok\r$/m)
      t.match(output, /^xt: command ended with status 0\r$/m)
    },
  )
}

const skip = typeof kernel === 'string' ? kernel : typeof ng === 'string' ? ng : false
t.test('stress-ng finds no fault in what it computed', { skip }, async (t) => {
  if (typeof ng === 'string') return
  const output = await run(new GuestLab(t), ng, 2, stressNgCommand(2, 2))
  t.notMatch(output, COMPLAINTS)
  t.match(output, /^xt: command ended with status 0\r$/m)
})
