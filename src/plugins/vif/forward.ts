/**
 * `forward=` of a vif: ports of the host that lead to the guest, separated by blanks, each
 * `[tcp:|udp:][ADDRESS:]HOSTPORT:GUESTPORT`. Without an address only this host can reach them.
 */
import { vifErrors } from './errors.ts'

export interface Forward {
  readonly protocol: 'tcp' | 'udp'
  /** IPv4, or IPv6 without brackets. */
  readonly address: string
  readonly hostPort: number
  readonly guestPort: number
}

const FORWARD =
  /^(?:(?<protocol>tcp|udp):)?(?:(?<v4>\d{1,3}(?:\.\d{1,3}){3}):|\[(?<v6>[0-9a-fA-F:.]+)\]:)?(?<host>\d{1,5}):(?<guest>\d{1,5})$/

/** @throws XtError XT_VIF_FORWARD */
export function parseForwards(name: string, text: string): readonly Forward[] {
  return text
    .split(' ')
    .filter((item) => item !== '')
    .map((item) => {
      const found = FORWARD.exec(item)?.groups
      const [hostPort, guestPort] = [Number(found?.['host']), Number(found?.['guest'])]
      if (found === undefined || !isPort(hostPort) || !isPort(guestPort))
        throw vifErrors.XT_VIF_FORWARD(name, item)
      return {
        protocol: (found['protocol'] ?? 'tcp') as Forward['protocol'],
        address: found['v4'] ?? found['v6'] ?? '127.0.0.1',
        hostPort,
        guestPort,
      }
    })
}

const isPort = (port: number): boolean => port >= 1 && port <= 65535
