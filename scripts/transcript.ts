/**
 * Writes docs/transcript.md: `node scripts/transcript.ts`. One Debian guest lives its whole life under the daily verbs,
 * and the page shows what was typed and what came back, byte for byte.
 *
 * It is no generated file in the sense of `npm run generate`: numbers and times differ with each run. That the verbs
 * act as the page shows is test/system/verbs.test.ts.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { debianKernel } from './assets/fetch-debian-kernel.ts'
import { initramfs } from './assets/make-initramfs.ts'
import { GuestShell } from './guest-shell.ts'

/** Far more than anything here takes. */
const PATIENCE_MS = 300_000
const CONFIG = `name = "web"
type = "pvh"
kernel = "vmlinuz"
ramdisk = "initramfs.cpio.gz"
extra = "console=hvc0 quiet"
memory = 256
vcpus = 2
`
const HEAD = `# One guest's whole life

Debian's kernel and a busybox system, from \`create\` to \`destroy\`. Written by \`scripts/transcript.ts\`, which types
these commands and puts down what they print, on either output. Lines after \`guest#\` are typed at the guest's own
console. What each \`--json\` prints instead is on [json.md](json.md).

The guest is described by \`web.cfg\`:

\`\`\`
${CONFIG}\`\`\`
`

const root = join(import.meta.dirname, '..')
const onProgress = (line: string) => console.error(line)
const { vmlinuz, release } = await debianKernel({ flavour: 'cloud', onProgress })
const ramdisk = await initramfs({ onProgress })
const home = mkdtempSync(join(tmpdir(), 'xt-transcript-'))
/** The commands of a block that is not closed yet. */
const block: string[] = []
let page = HEAD

/** The shell on a guest's console. */
class Guest {
  readonly #child
  readonly #shell: GuestShell

  private constructor(name: string) {
    this.#child = spawn(process.execPath, [join(root, 'bin/dev.js'), 'console', name], options())
    this.#shell = new GuestShell(this.#child.stdout!, this.#child.stdin!)
  }

  /** Resolves once the shell has its prompt. */
  static async join(name: string): Promise<Guest> {
    const guest = new Guest(name)
    await within(guest.#shell.prompt())
    return guest
  }

  async show(line: string): Promise<void> {
    const from = this.#shell.output.length
    this.#shell.type(line)
    await within(this.#shell.prompt())
    const [, ...answer] = this.#shell.output.slice(from).replaceAll('\r', '').split('\n')
    block.push(`guest# ${line}`, ...answer.slice(0, -1))
  }

  /** What the guest prints from now on that looks so. */
  async follow(pattern: RegExp): Promise<string> {
    const from = this.#shell.output.length
    let found: string | undefined
    await until(() => {
      found = pattern.exec(this.#shell.output.slice(from))?.[0]
      return found !== undefined
    })
    return found!
  }

  leave(): void {
    this.#child.kill()
  }
}

try {
  symlinkSync(vmlinuz, join(home, 'vmlinuz'))
  symlinkSync(ramdisk, join(home, 'initramfs.cpio.gz'))
  writeFileSync(join(home, 'web.cfg'), CONFIG)
  await life()
  writeFileSync(join(root, 'docs/transcript.md'), `${page.trimEnd()}\n`)
} finally {
  for (const name of ['web', 'shop']) xt('destroy', name)
  rmSync(home, { recursive: true, force: true })
}

async function life(): Promise<void> {
  section('Birth', `The kernel is Debian's ${release}.`)
  show('create', 'web.cfg')
  let guest = await Guest.join('web')
  show('list')
  show('list', '-v', 'web')
  show('domid', 'web')
  show('vcpu-list', 'web')
  await guest.show('uname -rv')

  section('Pause and unpause', 'The `p` of the state is all that a paused guest shows.')
  show('pause', 'web')
  show('list', 'web')
  show('unpause', 'web')
  await guest.show('echo I did not notice')

  section('A new name')
  show('rename', 'web', 'shop')
  show('domname', id('shop'))
  show('domid', 'web')

  section(
    'Less memory',
    "The guest's balloon driver gives 64 MiB back and takes them again, each within a moment.",
  )
  await guest.show('free -m')
  show('mem-set', 'shop', '192')
  await until(() => memory('shop') === '192')
  show('list', 'shop')
  await guest.show('free -m')
  show('mem-set', 'shop', '256m')
  await until(() => memory('shop') === '256')
  show('list', 'shop')

  section('SysRq', 'What the guest says to it is on its console.')
  const sysrq = guest.follow(/sysrq: .*\r\n/)
  show('sysrq', 'shop', 's')
  block.push(`(console) ${(await sysrq).trim()}`)

  section('Reboot', 'A new domain with the next number and the same name and UUID.')
  const before = id('shop')
  show('reboot', '-w', 'shop')
  await until(() => id('shop') !== before && id('shop') !== '')
  guest.leave()
  guest = await Guest.join('shop')
  show('list', '-v')
  await guest.show('cut -d. -f1 /proc/uptime')

  section('Shutdown', '`-w` waits until the guest is down. Nothing is left of it.')
  show('shutdown', '-w', 'shop')
  guest.leave()
  await until(() => id('shop') === '')
  show('list')

  section('Destroy', 'Another one, which does not get the time to say good-bye.')
  show('create', '-q', 'web.cfg')
  show('destroy', 'web')
  show('list')
  show('destroy', 'web')
  close()
}

function options() {
  return { cwd: home, env: { ...process.env, XT_HOME: home, NO_COLOR: '1' }, encoding: 'utf8' } as const
}

function xt(...words: readonly string[]) {
  return spawnSync(process.execPath, [join(root, 'bin/dev.js'), ...words], options())
}

/** Runs a command and puts down what it said. */
function show(...words: readonly string[]): void {
  const { status, stdout, stderr } = xt(...words)
  block.push(`$ xt ${words.join(' ')}`)
  for (const text of [stderr, stdout]) if (text !== '') block.push(text.trimEnd())
  if (status !== 0) block.push('$ echo $?', `${status}`)
}

function id(name: string): string {
  return xt('domid', name).stdout.trim()
}

function memory(name: string): string | undefined {
  return xt('list', name).stdout.split('\n')[1]?.split(/\s+/)[2]
}

function section(title: string, text = ''): void {
  close()
  onProgress(title)
  page += `\n## ${title}\n\n${text === '' ? '' : `${text}\n\n`}`
}

function close(): void {
  if (block.length > 0) page += `\`\`\`console\n${block.join('\n')}\n\`\`\`\n`
  block.length = 0
}

async function until(isSo: () => boolean): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error('the guest does not do what it was asked to')
    await sleep(200)
  }
}

async function within<T>(promise: Promise<T>): Promise<T> {
  const late = new AbortController()
  const timer = sleep(PATIENCE_MS, undefined, { signal: late.signal }).then(() => {
    throw new Error('the guest does not answer')
  })
  timer.catch(() => {})
  try {
    return await Promise.race([promise, timer])
  } finally {
    late.abort()
  }
}
