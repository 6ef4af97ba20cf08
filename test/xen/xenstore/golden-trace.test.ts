/**
 * Everything that a real Xen's store was asked while a guest was created, booted and shut down (oxenstored's access
 * log), asked of ours: the same requests fail with the same errors, the same watches are told the same paths.
 */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { testXenstore, WireClient } from './wire-client.ts'

interface Line {
  /** A<n>: a tool on the socket, D<n>: a domain. */
  readonly who: string
  readonly tx: string
  readonly op: string
  readonly rest: string
}

const lines: Line[] = readFileSync(new URL('./fixtures/guest-life.trace', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => {
    const [who = '', tx = ''] = line.slice(0, 13).trim().split('.')
    return { who, tx, op: line.slice(13, 23).trim(), rest: line.slice(23).replace(/ $/, '') }
  })

/** Watches from before the log began: dom0's kernel, and xenconsoled. */
const before = [
  ['D0', 'backend', 'FFFFFFFF82BB0B60'],
  ['A5', '@introduceDomain', 'domlist'],
  ['A5', '@releaseDomain', 'domlist'],
] as const

/** qemu of dom0 (A6, A7): its watches are not in the log. */
const unknownWatcher = ({ who }: Line) => who === 'A6' || who === 'A7'

t.test("a guest's whole life is answered as on Xen", async (t) => {
  const store = testXenstore()
  const clients = new Map<string, WireClient>()
  const transactions = new Map<string, number>()
  const told = new Map<string, Set<string>>()
  const toolstack = WireClient.dom0(store)
  toolstack.write('/local/domain/0/domid', '0')
  toolstack.write('/local/domain/0/name', 'Domain-0')
  toolstack.write('/local/pool/0/name', 'Pool-0')
  const client = (who: string) => {
    const known = clients.get(who)
    if (known !== undefined) return known
    const isGuest = who.startsWith('D') && who !== 'D0'
    const made = isGuest ? WireClient.guest(store, Number(who.slice(1))) : WireClient.dom0(store)
    clients.set(who, made)
    return made
  }
  const listen = () => {
    for (const [who, each] of clients)
      for (const event of each.told()) (told.get(who) ?? told.set(who, new Set()).get(who)!).add(event)
  }
  const ask = ({ who, tx, op, rest }: Line, index: number): string => {
    const own = client(who)
    const id = tx === '' ? 0 : (transactions.get(`${who}.${tx}`) ?? 0)
    const [path = '', ...words] = rest.split(' ')
    const commits =
      lines.slice(index + 1).find((line) => line.who === who && line.op !== 'w event')?.op === 'commit'
    switch (op) {
      case 'read':
        return own.read(path, id)
      case 'directory':
        return own.ask('DIRECTORY', [path], id)
      case 'write':
        return own.write(path, words.join(' '), id)
      case 'mkdir':
        return own.ask('MKDIR', [path], id)
      case 'rm':
        return own.ask('RM', [path], id)
      case 'setperms':
        return own.ask('SET_PERMS', [path, ...words], id)
      case 'watch':
        return own.ask('WATCH', [path, ...words])
      case 'unwatch':
        return own.ask('UNWATCH', [path, ...words])
      case 'reset watc':
        return own.ask('RESET_WATCHES', [''])
      case 'getdomain':
        return own.ask('GET_DOMAIN_PATH', [path])
      case 'introduce':
        return own.ask('INTRODUCE', [path, ...words])
      case 't start': {
        const begun = own.begin()
        transactions.set(`${who}.${tx}`, begun)
        return begun > 0 ? 'OK' : 'none'
      }
      case 't end':
        return own.end(id, commits ? 'T' : 'F')
      default:
        throw new Error(`not a request: ${op}`)
    }
  }

  for (const [who, path, token] of before) client(who).ask('WATCH', [path, token])
  for (const each of clients.values()) each.told()
  const requests = lines.filter(
    (line) => !['newconn', 'endconn', 'w event', 'w notfired', 'commit', 'error'].includes(line.op),
  )
  let asked = 0
  for (const [index, line] of lines.entries()) {
    if (line.op === 'endconn') {
      const gone = clients.get(line.who)
      if (gone !== undefined) listen()
      // A domain's connection ends because the domain does.
      if (line.who === 'D1') toolstack.ask('RELEASE', ['1'])
      else if (gone !== undefined) store.xenstore.disconnect(gone.connection)
      listen()
      clients.delete(line.who)
    }
    if (!requests.includes(line)) continue
    const reply = ask(line, index)
    const next = lines.slice(index + 1).find((each) => each.who === line.who && each.op !== 'w event')
    const error = next?.op === 'error' ? next.rest : 'none'
    const got = /^E[A-Z0-9]+$/.test(reply) ? reply : 'none'
    if (got !== error) t.fail(`line ${index + 1}: ${line.who} ${line.op} ${line.rest}`, { got, error })
    asked++
    listen()
  }
  t.equal(asked, requests.length)

  const expected = new Map<string, Set<string>>()
  for (const line of lines) {
    if (line.op !== 'w event' || unknownWatcher(line)) continue
    expected.set(line.who, (expected.get(line.who) ?? new Set()).add(line.rest))
  }
  for (const [who, events] of expected)
    t.same([...(told.get(who) ?? [])].sort(), [...events].sort(), `events of ${who}`)
})
