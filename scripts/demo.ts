/**
 * `npm run demo`: Debian's own kernel, unmodified, as a Xen PVH guest on the software CPU, up to a root shell.
 *
 * On a terminal the user gets the shell (`xt create -c`). Without one on standard input, commands are typed into the
 * guest's console, their answers go to standard output with the boot log, and the guest is powered off.
 * Progress goes to standard error. Whatever happens, no guest of ours is left running unless the user detached from it.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { join } from 'node:path'
import { XtError } from '../src/base/errors.ts'
import { debianKernel } from './assets/fetch-debian-kernel.ts'
import { initramfs } from './assets/make-initramfs.ts'
import { GuestShell } from './guest-shell.ts'

const root = join(import.meta.dirname, '..')
const xt = join(root, 'bin', 'run.js')
/** Ours for certain: a domain's name belongs to one domain at a time. */
const domain = `xt-demo-${process.pid}`

const COMMANDS = ['uname -a', 'cat /proc/cpuinfo | head', 'dmesg | grep -i xen']
/** From start to power-off; a boot takes some ten seconds, on a machine that has other things to do some more. */
const LIMIT_MS = 10 * 60_000
const TAIL_LINES = 25

const start = performance.now()
const say = (text: string) =>
  process.stderr.write(`[${((performance.now() - start) / 1000).toFixed(1).padStart(6)} s] ${text}\n`)

/** The command line that boots examples/debian.cfg; what is fetched and made for it is said. */
async function prepare(): Promise<readonly string[]> {
  say("Debian's kernel and busybox ...")
  const { vmlinuz, release } = await debianKernel({ onProgress: say })
  say(`kernel ${release}: ${vmlinuz}`)
  const ramdisk = await initramfs({ onProgress: say })
  say(`initramfs: ${ramdisk}`)
  const settings = { name: domain, kernel: vmlinuz, ramdisk }
  const words = Object.entries(settings).map(([key, value]) => `${key}=${JSON.stringify(value)}`)
  return [join(root, 'examples', 'debian.cfg'), ...words]
}

/** The user at the shell. Resolves with the exit status. */
async function interactive(words: readonly string[]): Promise<number> {
  say("booting. Ctrl-] leaves the guest's console; `poweroff -f` in the guest ends it.\n")
  const child = spawn(process.execPath, [xt, 'create', '-c', ...words], { stdio: 'inherit' })
  stopOnSignal((signal) => child.kill(signal))
  const [status] = await once(child, 'close')
  if (stopped === undefined && status === 0 && isRunning()) {
    process.stderr.write(`It goes on running; \`npx xt destroy ${domain}\` ends it.\n`)
    hasDetached = true
  }
  return status ?? 1
}

/** The commands typed into the guest's console. Resolves with the exit status. */
async function scripted(words: readonly string[]): Promise<number> {
  say('booting; without a terminal on standard input, this program types the commands')
  const child = spawn(process.execPath, [xt, 'create', '-F', '-c', ...words], { stdio: 'pipe' })
  const shell = new GuestShell(child.stdout, child.stdin)
  child.stdout.pipe(process.stdout)
  let notes = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    notes += text
    process.stderr.write(text)
  })
  let isTold = false
  const typing = async () => {
    for (const command of [...COMMANDS, 'poweroff -f']) {
      await shell.prompt()
      shell.type(command)
    }
    isTold = true
  }
  void typing()
  const over = once(child, 'close').then(([status]) => {
    if (!isTold) return `ended before its shell had answered (xt create: status ${status})`
    return / has shut down, reason code 0 /.test(notes) ? undefined : 'did not power off as it was told'
  })
  const late = new Promise<string>((settle) => {
    setTimeout(() => settle(`was not done after ${LIMIT_MS / 60_000} minutes`), LIMIT_MS).unref()
  })
  const signal = new Promise<string>((settle) => stopOnSignal((name) => settle(`was stopped by ${name}`)))
  const failure = await Promise.race([over, late, signal])
  child.kill()
  if (failure === undefined) {
    say('the guest answered and powered off')
    return 0
  }
  const tail = shell.output.trimEnd().split('\n').slice(-TAIL_LINES)
  process.stderr.write(`The guest ${failure}.\n`)
  if (shell.output !== '') process.stderr.write(`The end of its console:\n\n  ${tail.join('\n  ')}\n`)
  return stopped === undefined ? 1 : 128 + constants.signals[stopped]
}

let stopped: NodeJS.Signals | undefined
/** The user left the console on purpose: the guest is his now. */
let hasDetached = false

function stopOnSignal(then: (signal: NodeJS.Signals) => void): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      stopped ??= signal
      then(signal)
    })
  }
}

const runXt = (...words: readonly string[]) =>
  spawnSync(process.execPath, [xt, ...words], { stdio: 'ignore' })
const isRunning = () => runXt('domid', domain).status === 0

try {
  const words = await prepare()
  process.exitCode = await (process.stdin.isTTY ? interactive(words) : scripted(words))
} catch (error) {
  if (!(error instanceof XtError)) throw error
  process.stderr.write(error.hint === undefined ? `${error.message}\n` : `${error.message}\n${error.hint}\n`)
  process.exitCode = error.exit
} finally {
  if (!hasDetached && isRunning()) runXt('destroy', domain)
}
