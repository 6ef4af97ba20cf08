/** Debian's own xenstore tools against our store: every command answers what it answered on a real Xen. */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { testStore } from './store-process.ts'

interface Step {
  readonly cmd: string
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

const golden = new URL('./fixtures/xenstore-commands.json', import.meta.url)
const { steps } = JSON.parse(readFileSync(golden, 'utf8')) as { steps: Step[] }

async function run(command: string, socketPath: string): Promise<Step> {
  const env = { PATH: process.env['PATH'], XENSTORED_PATH: socketPath, LC_ALL: 'C' }
  try {
    const { stdout, stderr } = await promisify(execFile)('sh', ['-c', command], { env })
    return { cmd: command, exit: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { cmd: command, exit: code, stdout, stderr }
  }
}

const which = await run('xenstore-ls --help; xenstore --help', '')
const missing = which.stderr.includes('Usage: xenstore-ls') ? false : 'xenstore-utils is not installed'
/** The one on PATH is a wrapper that runs only under Xen. */
const control = join(process.env['XEN_UTILS'] ?? '/usr/lib/xen-4.17/bin', 'xenstore-control')
const isControl = (step: Step) => step.cmd.startsWith('xenstore-control')
const noControl = existsSync(control) ? false : 'xen-utils-4.17 is not installed'

t.test('each command prints and returns what it did on Xen', { skip: missing }, async (t) => {
  const store = await testStore(t)
  const client = await store.client()
  // The rest of the tree that the recorded commands saw: all that the listing of '/' shows, but for what they made.
  const listing = steps.find((step) => step.cmd === 'xenstore-ls -fp /')!
  for (const line of listing.stdout.trimEnd().split('\n')) {
    const [, path, value, perms] = /^(\S+) = "(.*)" {3}\((.*)\)$/.exec(line)!
    if (/^\/(a$|a\/|@)/.test(path!)) continue
    await client.write(path!, value!)
    await client.setPerms(path!, perms!.split(','))
  }
  for (const step of steps.filter((each) => !isControl(each))) {
    const got = await run(step.cmd, store.socketPath)
    t.same(got, step, step.cmd.slice(0, 60))
  }
})

t.test('xenstore-control is answered as on Xen', { skip: noControl }, async (t) => {
  const store = await testStore(t)
  for (const step of steps.filter(isControl)) {
    const got = await run(step.cmd.replace('xenstore-control', control), store.socketPath)
    t.same({ ...got, cmd: step.cmd }, step, step.cmd)
  }
})
