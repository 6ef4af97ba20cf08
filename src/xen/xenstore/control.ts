/**
 * CONTROL: the commands of `xenstore-control` that the C xenstored has and that mean something here. Left out,
 * and answered EINVAL as unknown ones are: log, logfile, memreport, live-update, quota-soft.
 *
 * XEN: `domain-shutdown DOMID` is ours. It stands for the VIRQ by which Xen tells its xenstored that a domain has
 * shut down and that @releaseDomain is due.
 */
import type { Entry } from './entries.ts'
import { Refusal } from './node-requests.ts'
import { isQuotaName, type Limits, QUOTA_NAMES, QUOTAS } from './quota.ts'
import { stringsPayload } from './wire.ts'

/** What the commands work on. */
export interface Controlled {
  limits: Limits
  isIntroduced(domid: number): boolean
  domain(domid: number): { readonly limits: Limits } | undefined
  inUse(domid: number): { nodes: number; bytes: number; watches: number; transactions: number }
  domainShutdown(domid: number): void
  log(message: string): void
}

interface Command {
  readonly usage: string
  readonly args: readonly [least: number, most: number]
  run(state: Controlled, args: readonly string[], entries: Entry[]): string
}

const table = (rows: readonly (readonly [name: string, value: number, text: string])[]): string =>
  rows.map(([name, value, text]) => `${name.padEnd(17)}: ${`${value}`.padStart(8)} ${text}\n`).join('')

function quota(state: Controlled, args: readonly string[], entries: Entry[]): string {
  const [word, name, value] = args
  if (word === undefined) {
    const rows = QUOTA_NAMES.map((each) => [each, state.limits[each], QUOTAS[each].text] as const)
    return `Quota settings:\n${table(rows)}`
  }
  if (word === 'set') {
    if (name === undefined || !isQuotaName(name) || !/^[1-9]\d{0,9}$/.test(value ?? ''))
      throw new Refusal('EINVAL')
    state.limits = { ...state.limits, [name]: Number(value) }
    entries.push(['limits', state.limits])
    return 'OK'
  }
  if (!/^\d{1,5}$/.test(word) || args.length > 1) throw new Refusal('EINVAL')
  const limits = state.domain(Number(word))?.limits
  if (limits === undefined) throw new Refusal('ENOENT')
  const used = state.inUse(Number(word))
  const amounts = {
    nodes: used.nodes,
    watches: used.watches,
    memory: used.bytes,
    transactions: used.transactions,
  }
  const rows = Object.entries(amounts).map(
    ([each, amount]) => [each, amount, `(max ${`${limits[each as keyof Limits]}`.padStart(8)})`] as const,
  )
  return `Domain ${word}:\n${table(rows)}`
}

const COMMANDS: Readonly<Record<string, Command>> = {
  // The tree cannot be inconsistent: every change is made on it as a whole.
  check: { usage: '', args: [0, 0], run: () => 'OK' },
  print: {
    usage: '<string>',
    args: [1, 1],
    run: (state, [text]) => {
      state.log(`control: ${text}`)
      return 'OK'
    },
  },
  quota: { usage: '[set <name> <val>|<domid>]', args: [0, 3], run: quota },
  'domain-shutdown': {
    usage: '<domid>',
    args: [1, 1],
    run: (state, [word]) => {
      const domid = Number(word)
      if (!state.isIntroduced(domid)) throw new Refusal('ENOENT')
      state.domainShutdown(domid)
      return 'OK'
    },
  },
  help: {
    usage: '',
    args: [0, 0],
    run: () =>
      Object.entries(COMMANDS)
        .map(([name, command]) => `${name.padEnd(15)} ${command.usage}\n`)
        .join(''),
  },
}

/** Payload of the answer to a CONTROL request with these words. */
export function control(state: Controlled, words: readonly string[], entries: Entry[]): Uint8Array {
  const [name, ...args] = words
  const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined || args.length < command.args[0] || args.length > command.args[1]) {
    throw new Refusal('EINVAL')
  }
  return stringsPayload([command.run(state, args, entries)])
}
