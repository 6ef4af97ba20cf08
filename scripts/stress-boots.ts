/**
 * Boots Debian's kernel again and again: `node scripts/stress-boots.ts [--count N] [--vcpus N] [--flavour NAME]`.
 *
 * Each guest runs a short script on all its processors and powers off. One that does not come to its end in time, or
 * not as it should, is reported, and what is needed to find out why is kept: its console, its domain's log, its
 * row of `xt list`. Ends with status 1 if there was one.
 */
import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { domainLog, xtPaths } from '../src/engine/paths.ts'
import { debianKernel, KERNEL_FLAVOURS, type KernelFlavour } from './assets/fetch-debian-kernel.ts'
import { initramfs, runArgument } from './assets/make-initramfs.ts'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const PANIC = 'Kernel panic - not syncing'
const root = join(import.meta.dirname, '..')
const say = (text: string) => process.stdout.write(`${text}\n`)

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '20' },
    vcpus: { type: 'string', default: '2' },
    flavour: { type: 'string', default: 'cloud' },
    /** Seconds after which a guest counts as hung. */
    limit: { type: 'string', default: '180' },
    keep: { type: 'string', default: join(root, 'bench-results', 'failed-boots') },
  },
})
const [count, vcpus, limit] = [values.count, values.vcpus, values.limit].map(Number)
if (![count, vcpus, limit].every((n) => Number.isInteger(n) && n! > 0) || !isFlavour(values.flavour)) {
  process.stderr.write(`numbers are from 1 on; kernels are ${KERNEL_FLAVOURS.join(', ')}\n`)
  process.exit(2)
}
const failures = await stress(values.flavour, count!, vcpus!, limit!)
say(`${count! - failures} of ${count} boots with ${vcpus} vCPUs as they should be, ${failures} not`)
process.exitCode = failures > 0 ? 1 : 0

function isFlavour(name: string): name is KernelFlavour {
  return (KERNEL_FLAVOURS as readonly string[]).includes(name)
}

/** Number of failures. */
async function stress(flavour: KernelFlavour, count: number, vcpus: number, limit: number): Promise<number> {
  const { vmlinuz, release } = await debianKernel({ flavour, onProgress: say })
  const script =
    'for i in 1 2 3 4; do (md5sum /bin/busybox; ls -lR /sys | wc -l) & done; wait; echo online=$(nproc)'
  const settings = {
    kernel: vmlinuz,
    ramdisk: await initramfs({ onProgress: say }),
    extra: `console=hvc0 ${runArgument(script)}`,
    vcpus,
    on_crash: 'preserve',
    on_reboot: 'preserve',
  }
  let failures = 0
  for (let boot = 1; boot <= count; boot++) {
    const start = performance.now()
    const problem = await bootOnce({ ...settings, name: `boot-${boot}` }, limit)
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    say(`${boot} of ${count}: ${release}, ${vcpus} vCPUs, ${seconds} s: ${problem ?? 'ok'}`)
    if (problem !== undefined) failures++
  }
  return failures
}

type Settings = Readonly<Record<string, string | number>> & {
  readonly name: string
  readonly vcpus: number
}

/** undefined if all went well; else what did not, with the place of what was kept. */
async function bootOnce(settings: Settings, limit: number): Promise<string | undefined> {
  const home = mkdtempSync(join(tmpdir(), 'xt-stress-'))
  const env = { ...process.env, XT_HOME: home }
  const xt = join(root, 'bin/dev.js')
  const command = (...words: readonly string[]) =>
    spawnSync(process.execPath, [xt, ...words], { env, encoding: 'utf8' }).stdout
  const words = Object.entries(settings).map(([key, value]) => `${key}=${JSON.stringify(value)}`)
  const child = spawn(
    process.execPath,
    [xt, 'create', '-q', '-c', join(root, 'examples/debian.cfg'), ...words],
    { env, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  // Whoever stops this program stops the guest, too.
  const stop = () => {
    command('destroy', settings.name)
    rmSync(home, { recursive: true, force: true })
    process.exit(130)
  }
  for (const signal of SIGNALS) process.once(signal, stop)
  let console = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      console += text
    })
  }
  let ended = false
  const closed = new Promise((settle) => child.once('close', settle)).then(() => {
    ended = true
  })
  const endMs = performance.now() + limit * 1000
  while (!ended && performance.now() < endMs && !console.includes(PANIC)) await sleep(500)
  // What it says last.
  if (!ended) await sleep(2000)
  const problem = judge(console, ended, settings.vcpus)
  let kept: string | undefined
  if (problem !== undefined) kept = keep(home, settings.name, console, command('list', '-v'))
  command('destroy', settings.name)
  await closed
  for (const signal of SIGNALS) process.off(signal, stop)
  rmSync(home, { recursive: true, force: true })
  return problem === undefined ? undefined : `${problem}; kept in ${kept}`
}

function judge(console: string, ended: boolean, vcpus: number): string | undefined {
  const complaint = /^.*(BUG:|WARNING:|Kernel panic|Call Trace|rcu: INFO|soft lockup|Oops).*$/m.exec(console)
  if (complaint !== null) return `the kernel complains: ${complaint[0].trim()}`
  if (!ended) return 'the guest hangs'
  if (!console.includes(`online=${vcpus}\r\n`))
    return 'the script did not come to its end with all processors'
  if (!/^xt: command ended with status 0\r$/m.test(console)) return 'the script failed'
  return undefined
}

/** The directory that holds what is left of a failed boot. */
function keep(home: string, name: string, console: string, list: string): string {
  const directory = join(values.keep, `${new Date().toISOString().replaceAll(':', '-')}-${name}`)
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'console'), console)
  writeFileSync(join(directory, 'list'), list)
  copyFileSync(domainLog(xtPaths({ XT_HOME: home }), name), join(directory, 'log'))
  return directory
}
