/** `npm run demo` as on a machine without a terminal: Debian's own kernel, from the packages to the power-off. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { debianKernel } from '../../scripts/assets/fetch-debian-kernel.ts'
import { initramfs } from '../../scripts/assets/make-initramfs.ts'
import { XtError } from '../../src/base/errors.ts'
import { listDomains } from '../../src/engine/domains.ts'
import { xtPaths } from '../../src/engine/paths.ts'
import { root, xtHome } from '../commands/fake-domain.ts'

t.setTimeout(900_000)

/** Why there is no kernel to boot here, if so. */
async function missing(): Promise<string | false> {
  try {
    await debianKernel()
    await initramfs()
    return false
  } catch (error) {
    if (error instanceof XtError) return error.message
    throw error
  }
}

/** Runs the demo's script with nothing on standard input. */
async function demo(home: string, env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [join(root, 'scripts/bootstrap.js'), '--build', 'scripts/demo.ts'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env, XT_HOME: home },
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const [status] = await once(child, 'close')
  return { status, stdout, stderr }
}

const left = (home: string) => ['domains', 'names'].flatMap((dir) => readdirSync(join(home, 'run', dir)))

const skip = await missing()

t.test(
  "Debian's kernel boots as a Xen PVH guest, its shell answers on hvc0, it powers off, nothing is left",
  { skip },
  async (t) => {
    const home = xtHome(t)
    const { status, stdout, stderr } = await demo(home)
    t.equal(status, 0, stderr)
    for (const line of [
      /Booting kernel on Xen PVH/,
      // What the real Xen's guest prints, too: Linux calls a PVH guest so at this point.
      /Hypervisor detected: Xen HVM/,
      /printk: console \[hvc0\] enabled/,
      /^Linux debian \S+ .* x86_64 GNU\/Linux\r$/m,
      /^model name\s*: xt software x86-64 processor\r$/m,
      /reboot: System halted/,
    ]) {
      t.match(stdout, line)
    }
    t.match(stderr, /kernel \S+-amd64: .*the guest answered and powered off\n$/s)
    t.same(left(home), [])
  },
)

t.test('a kernel that is none is refused in one sentence, and nothing is left', { skip }, async (t) => {
  const home = xtHome(t)
  const { status, stderr } = await demo(home, { XT_ASSET_VMLINUZ: join(root, 'package.json') })
  t.not(status, 0)
  t.match(stderr, /package\.json is not a kernel/)
  t.match(stderr, /The guest ended before its shell had answered/)
  t.same(await listDomains(xtPaths({ XT_HOME: home })), [])
})
