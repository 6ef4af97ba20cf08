/**
 * `npm run stress [-- --seconds N] [--vcpus 1,2] [--seed N] [--only ours,ng]`: the programs of test/system/stress.test.ts
 * for as long as wanted (60 s each), on each number of vCPUs; what the guests print goes to standard output. Ends with
 * status 1 if one found a fault or did not come to its end. Boots in a row: scripts/stress-boots.ts.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { CpioEntry } from './assets/cpio.ts'
import { debianKernel } from './assets/fetch-debian-kernel.ts'
import { initramfs, runArgument } from './assets/make-initramfs.ts'
import { COMPLAINTS, stressNg, stressNgCommand, stressProgram } from './stress/guest-files.ts'

const root = join(import.meta.dirname, '..')
const say = (text: string) => process.stderr.write(`${text}\n`)
/** What booting takes at most, and how much slower than asked a guest may be that is short of processors. */
const [BOOT_SECONDS, SLOWER] = [120, 4]

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    vcpus: { type: 'string', default: '1,2' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: 'ours,ng' },
  },
})
const seconds = Number(values.seconds)
const counts = values.vcpus.split(',').map(Number)
if (![seconds, ...counts].every((n) => Number.isInteger(n) && n > 0)) {
  say('--seconds is a number from 1 on, --vcpus a list of such')
  process.exit(2)
}
const failures: string[] = []
for (const name of values.only.split(',')) {
  const files = name === 'ng' ? stressNg() : stressProgram()
  if (typeof files === 'string') {
    say(`${name} is left out: ${files}`)
    continue
  }
  const entries = 'path' in files ? [files] : files
  for (const vcpus of counts) {
    const script =
      name === 'ng' ? stressNgCommand(seconds, vcpus) : `stress ${seconds} ${Number(values.seed)}`
    say(`${script}, ${vcpus} vCPUs`)
    const problem = await run(entries, vcpus, script)
    if (problem !== undefined) failures.push(`${script}, ${vcpus} vCPUs: ${problem}`)
  }
}
for (const failure of failures) say(failure)
say(failures.length === 0 ? 'no fault found' : `${failures.length} faults`)
process.exitCode = failures.length === 0 ? 0 : 1

/** undefined if all went well. */
async function run(extra: readonly CpioEntry[], vcpus: number, script: string): Promise<string | undefined> {
  const { vmlinuz } = await debianKernel({ onProgress: say })
  const settings = {
    name: 'stress',
    kernel: vmlinuz,
    ramdisk: await initramfs({ extra, onProgress: say }),
    extra: `console=hvc0 ${runArgument(script)}`,
    vcpus,
    on_reboot: 'destroy',
  }
  const home = mkdtempSync(join(tmpdir(), 'xt-stress-'))
  const env = { ...process.env, XT_HOME: home }
  const words = Object.entries(settings).map(([key, value]) => `${key}=${JSON.stringify(value)}`)
  const xt = join(root, 'bin/dev.js')
  const destroy = () => spawnSync(process.execPath, [xt, 'destroy', 'stress'], { env })
  const child = spawn(
    process.execPath,
    [xt, 'create', '-q', '-F', '-c', join(root, 'examples/debian.cfg'), ...words],
    { env, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    process.stdout.write(text)
  })
  let isLate = false
  const limit = setTimeout(
    () => {
      isLate = true
      destroy()
    },
    (BOOT_SECONDS + 2 * seconds * SLOWER) * 1000,
  )
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => destroy())
  await new Promise((settle) => child.once('close', settle))
  clearTimeout(limit)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.removeAllListeners(signal)
  rmSync(home, { recursive: true, force: true })
  if (isLate) return 'it did not come to its end'
  const complaint = COMPLAINTS.exec(output)
  if (complaint !== null) return complaint[0].trim()
  return /^xt: command ended with status 0\r$/m.test(output) ? undefined : 'it failed'
}
