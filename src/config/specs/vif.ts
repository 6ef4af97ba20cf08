/**
 * Network specs (xl-network-configuration(5)): `mac=...,bridge=...,rate=...`; in a file one string, for
 * network-attach one argument per option.
 *
 * XEN: in a file a bad option is named and skipped, and the guest is made with what was read so far; only a bad
 * rate, mtu or devid refuses it. network-attach refuses every bad option.
 */
import { numberPrefix, ULONG_MAX, unsignedLong } from '../xl/number.ts'
import type { SpecFault, SpecResult } from './fault.ts'
import { parseRate } from './rate.ts'
import { option, type SpecToken, tokens } from './tokens.ts'

/** A vif as its spec gives it; what was not given is absent. */
export interface VifSpec {
  mac?: string
  bridge?: string
  gatewaydev?: string
  type?: 'vif' | 'ioemu'
  model?: string
  vifname?: string
  script?: string
  ip?: string
  backend?: string
  devid?: number
  mtu?: number
  vlan?: string
  trusted?: boolean
  /** xt's own: ports of the host that lead to the guest (src/plugins/vif/forward.ts). */
  forward?: string
  /** xt's own: the gateway's address is the host's loopback. */
  hostLoopback?: boolean
  rateBytesPerInterval?: bigint
  rateIntervalUs?: number
  /** Options of COLO replication, under libxl's names. */
  colo?: Record<string, string>
}

/** Parses one string of a `vif` list. */
export function parseVif(spec: string): SpecResult<VifSpec> {
  return readVif(tokens(spec), false)
}

/** Parses the arguments of network-attach. */
export function parseVifArguments(options: readonly string[]): SpecResult<VifSpec> {
  return readVif(
    options.map((text) => ({ text, at: 0 })),
    true,
  )
}

type Severity = 'skip' | 'refuse' | 'doubt'
interface Complaint extends SpecFault {
  readonly severity: Severity
}

function readVif(parts: readonly SpecToken[], attach: boolean): SpecResult<VifSpec> {
  const vif: VifSpec = {}
  const faults: SpecFault[] = []
  const warnings: SpecFault[] = []
  for (const part of parts) {
    for (const { severity, ...fault } of readOption(vif, part)) {
      if (severity === 'refuse' || (severity === 'skip' && attach)) faults.push(fault)
      else warnings.push(fault)
    }
    if (faults.length > 0) return { faults, warnings }
  }
  return { value: vif, faults, warnings }
}

const TEXT_KEYS: ReadonlyMap<
  string,
  'bridge' | 'gatewaydev' | 'ip' | 'script' | 'backend' | 'vifname' | 'model' | 'vlan' | 'forward'
> = new Map([
  ['bridge', 'bridge'],
  ['netdev', 'gatewaydev'],
  ['gatewaydev', 'gatewaydev'],
  ['ip', 'ip'],
  ['script', 'script'],
  ['backend', 'backend'],
  ['vifname', 'vifname'],
  ['model', 'model'],
  ['vlan', 'vlan'],
  ['forward', 'forward'],
])

function readOption(vif: VifSpec, part: SpecToken): readonly Complaint[] {
  const complain = (severity: Severity, message: string, hint?: string): readonly Complaint[] => [
    { severity, message, near: part.text, at: part.at, ...(hint === undefined ? {} : { hint }) },
  ]
  if (part.text === 'trusted' || part.text === 'untrusted') {
    vif.trusted = part.text === 'trusted'
    return []
  }
  const { key, value } = option(part) ?? { key: '', value: '' }
  const textKey = TEXT_KEYS.get(key)
  if (textKey !== undefined) {
    vif[textKey] = value
    return key === 'netdev' ? complain('doubt', 'netdev is deprecated', 'Write gatewaydev=.') : []
  }
  const colo = coloName(key)
  if (colo !== undefined) {
    vif.colo = { ...vif.colo, [colo]: value }
    return []
  }
  switch (key) {
    case 'type':
      if (value !== 'vif' && value !== 'ioemu') return complain('skip', 'invalid type', 'Known: vif ioemu.')
      vif.type = value
      return []
    case 'mac':
      return readMac(vif, value)
        ? []
        : complain('skip', 'invalid mac', 'A mac is six hexadecimal pairs: 00:16:3e:xx:xx:xx.')
    case 'rate': {
      const { value: rate, faults, warnings } = parseRate(value)
      if (rate !== undefined) {
        vif.rateBytesPerInterval = rate.bytesPerInterval
        vif.rateIntervalUs = rate.intervalUs
      }
      const shift = (severity: Severity) => (fault: SpecFault) => ({
        severity,
        ...fault,
        at: part.at + 5 + fault.at,
      })
      return [...faults.map(shift('refuse')), ...warnings.map(shift('doubt'))]
    }
    case 'devid':
    case 'mtu': {
      const { value: number, length } = unsignedLong(value, 10)
      if (length === 0 || number === ULONG_MAX) return complain('refuse', `${key} is not a number`)
      vif[key] = Number(BigInt.asIntN(32, number))
      return length === value.length ? [] : complain('doubt', `what follows the number in ${key} is ignored`)
    }
    case 'hostloopback':
      if (value !== '0' && value !== '1')
        return complain(
          'refuse',
          'hostloopback is 0 or 1',
          "With 1 the gateway's address is the host's loopback.",
        )
      vif.hostLoopback = value === '1'
      return []
    case 'accel':
      return complain('doubt', 'accel is not supported')
    default:
      return complain('skip', 'unknown option')
  }
}

/**
 * Six hexadecimal groups with any one character between; what follows is ignored. What was read before a fault
 * stays, as in xl. XEN: xl reads on past the end of the text if groups are missing; here they are a fault.
 */
function readMac(vif: VifSpec, text: string): boolean {
  // An earlier mac keeps what a later, faulty one does not reach.
  const bytes = (vif.mac ?? '0:0:0:0:0:0').split(':').map((byte) => Number.parseInt(byte, 16))
  let rest = text
  let good = true
  for (let i = 0; i < 6 && good; i++) {
    const { value, length } = numberPrefix(rest, 16)
    good = length > 0 && value >= 0n && value <= 255n
    if (good) bytes[i] = Number(value)
    rest = rest.slice(length + 1)
  }
  vif.mac = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':')
  return good
}

const COLO_NAMES: readonly RegExp[] = [
  /^colo_sock_(?:mirror|compare_(?:pri_in|sec_in|notify)|redirector[012]|sec_redirector[01])_(?:id|ip|port)$/,
  /^colo_filter_(?:mirror_(?:queue|outdev)|(?:sec_)?redirector[01]_(?:queue|indev|outdev)|sec_rewriter0_queue)$/,
  /^colo_compare_(?:pri_in|sec_in|out|notify_dev)$/,
  /^colo_checkpoint_(?:host|port)$/,
]

function coloName(key: string): string | undefined {
  if (key === 'forwarddev') return 'coloft_forwarddev'
  return COLO_NAMES.some((pattern) => pattern.test(key)) ? key : undefined
}
