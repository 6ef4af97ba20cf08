/**
 * A network namespace for a test program: a loopback of its own and a way out that leads nowhere. Guests reach nothing
 * of the machine's networks from there, and the ports are all free.
 */
import { spawnSync } from 'node:child_process'

const MARK = 'XT_TEST_OWN_NETWORK'
const SET_UP = [
  'ip link set lo up',
  '(ip link add nowhere type bridge || ip link add nowhere type dummy)',
  'ip address add 198.51.100.2/24 dev nowhere',
  'ip link set nowhere up',
  'ip route add default via 198.51.100.1',
  'exec "$0" "$@"',
].join(' && ')

/**
 * Runs this program again inside, and ends with it; returns at once if it is inside, or answers why it cannot be.
 * To be called before anything else is done.
 */
export function enterOwnNetwork(): string | false {
  if (process.env[MARK] !== undefined) return false
  if (process.getuid?.() !== 0) return 'a network namespace needs root'
  if (spawnSync('unshare', ['--net', 'ip', 'link']).status !== 0)
    return 'no network namespaces here (Debian: util-linux, iproute2)'
  const args = ['--net', 'sh', '-c', SET_UP, process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  const { status } = spawnSync('unshare', args, { stdio: 'inherit', env: { ...process.env, [MARK]: '1' } })
  process.exit(status ?? 1)
}
