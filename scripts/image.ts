/**
 * `npm run image -- debian OUT`: a disk image with a Debian system; `npm run image -- seed OUT`: a cloud-init seed.
 *
 * Progress goes to standard error. An image appears whole or not at all.
 */
import { randomUUID } from 'node:crypto'
import { constants } from 'node:os'
import { parseArgs } from 'node:util'
import { XtError } from '../src/base/errors.ts'
import { makeDebianImage, mustBeFree, readKeys } from './image/debian.ts'
import { imageErrors } from './image/errors.ts'
import { makeSeed } from './image/seed.ts'

const USAGE = `usage: npm run image -- debian OUT [options]     a Debian system that boots as a guest
  --size 4G            of the disk; its file is sparse
  --ssh-key FILE       public key for root; may be given more than once
  --password WORD      of root; without it root logs in on the console with none, and over ssh not at all
  --hostname debian
  --packages A,B       more of Debian's packages
  --kernel cloud       or generic, which has 9p
  --minimal            without network and ssh
  --suite bookworm  --mirror http://deb.debian.org/debian
  --force              replace OUT

npm run image -- seed OUT [options]              a cloud-init seed (NoCloud) for a stock image
  --hostname debian  --user debian  --ssh-key FILE  --password WORD
  --user-data FILE     a #cloud-config of your own, instead of the user and key
  --force              replace OUT
`

const start = performance.now()
const say = (text: string) =>
  process.stderr.write(`[${((performance.now() - start) / 1000).toFixed(1).padStart(6)} s] ${text}\n`)

const stopping = new AbortController()
let stoppedBy: NodeJS.Signals | undefined
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    stoppedBy ??= signal
    stopping.abort()
  })
}

const OPTIONS = {
  size: { type: 'string', default: '4G' },
  'ssh-key': { type: 'string', multiple: true },
  password: { type: 'string' },
  hostname: { type: 'string', default: 'debian' },
  user: { type: 'string', default: 'debian' },
  'user-data': { type: 'string' },
  packages: { type: 'string', default: '' },
  kernel: { type: 'string', default: 'cloud' },
  minimal: { type: 'boolean', default: false },
  suite: { type: 'string', default: 'bookworm' },
  mirror: { type: 'string', default: 'http://deb.debian.org/debian' },
  force: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true })
  const [what, out, ...more] = positionals
  if (values.help || out === undefined || more.length > 0 || (what !== 'debian' && what !== 'seed')) {
    ;(values.help ? process.stdout : process.stderr).write(USAGE)
    return values.help ? 0 : 2
  }
  const { hostname, password, size, suite, mirror, minimal, kernel } = values
  if (!/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/i.test(hostname))
    throw imageErrors.XT_IMAGE_INPUT(`--hostname ${hostname}`, 'a host name has letters, digits and hyphens')
  if (kernel !== 'cloud' && kernel !== 'generic')
    throw imageErrors.XT_IMAGE_INPUT(`--kernel ${kernel}`, 'there are cloud and generic')
  if (!/^[0-9]+[KMGT]?$/i.test(size))
    throw imageErrors.XT_IMAGE_INPUT(`--size ${size}`, 'give it as 800M or 4G')
  await mustBeFree(out, values.force)
  const sshKeys = await readKeys(values['ssh-key'] ?? [])
  if (what === 'seed') {
    const { user, 'user-data': userData } = values
    await makeSeed({ out, hostname, user, sshKeys, password, userData, instanceId: randomUUID() })
    say(`${out} is there: give it to the guest as a further disk`)
    return 0
  }
  const packages = values.packages.split(',').filter((name) => name !== '')
  await makeDebianImage({
    ...{ out, size, suite, mirror, kernel, minimal, hostname, sshKeys, password, packages },
    onProgress: say,
    signal: stopping.signal,
  })
  say(`${out} is there. ${login(password, sshKeys)}`)
  return 0
}

const login = (password: string | undefined, keys: readonly string[]): string =>
  `On the console root logs in ${password === undefined ? 'without a password' : 'with your password'}` +
  `; over ssh ${keys.length === 0 ? 'nobody (--ssh-key)' : 'with your key'}.`

try {
  process.exitCode = await main()
} catch (error) {
  if (stoppedBy !== undefined) {
    say(`stopped by ${stoppedBy}; nothing was made`)
    process.exitCode = 128 + constants.signals[stoppedBy]
  } else if (error instanceof XtError) {
    process.stderr.write(
      error.hint === undefined ? `${error.message}\n` : `${error.message}\n${error.hint}\n`,
    )
    process.exitCode = error.exit
  } else if ((error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}`)
    process.exitCode = 2
  } else throw error
}
