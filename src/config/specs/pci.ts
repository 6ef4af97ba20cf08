/**
 * PCI pass-through (`pci`: `[DDDD:]BB:SS.F[@VSLOT][,key=value...]`) and reserved device memory (`rdm`).
 * The results are libxl's structures, its names.
 */
import type { LibxlObject } from '../libxl-config.ts'
import { toInt, unsignedLong } from '../xl/number.ts'
import { accept, refuse, type SpecResult } from './fault.ts'
import { wordIn } from './tokens.ts'

const RDM_POLICIES = ['invalid', 'strict', 'relaxed'] as const
const ALL_FUNCTIONS = 0xffffffff
/** scanf's %x: blanks and 0x before. */
const HEX = '[ \\t\\n\\v\\f\\r]*(?:0[xX])?([0-9a-fA-F]+)'
const TWO_FIELDS = new RegExp(`^${HEX}:${HEX}\\.(\\*|${HEX})`)
const THREE_FIELDS = new RegExp(`^${HEX}:${HEX}:${HEX}\\.(\\*|${HEX})`)
const SLOT = new RegExp(`^${HEX}`)

/** `defaults` are the settings of the keys `pci_permissive` and its like. */
export function parsePci(spec: string, defaults: LibxlObject = {}): SpecResult<LibxlObject> {
  const pci: LibxlObject = { ...defaults }
  const wrong = (message: string, near = spec, at = 0) =>
    refuse<LibxlObject>({
      message,
      near,
      at,
      hint: 'An address is written like 0000:03:00.0, all hexadecimal.',
    })
  let at = readAddress(pci, spec)
  let hasAddress = at > 0
  if (hasAddress) {
    if (spec[at] === '@') {
      const length = readSlot(pci, spec.slice(at + 1))
      if (length === 0) return wrong('not a virtual slot', spec.slice(at), at)
      at += 1 + length
    }
    if (spec[at] === ',') at++
    else if (at < spec.length) return wrong('unexpected text behind the address', spec.slice(at), at)
  }
  while (at < spec.length) {
    const equals = spec.indexOf('=', at)
    if (equals < 0)
      return wrong(at === 0 ? 'not an address' : 'not of the form key=value', spec.slice(at), at)
    const comma = spec.indexOf(',', equals)
    const end = comma < 0 ? spec.length : comma
    const [key, value] = [spec.slice(at, equals), spec.slice(equals + 1, end)]
    const message = readOption(pci, key, value)
    if (message !== undefined) return wrong(message, spec.slice(at, end), at)
    if (key === 'bdf') hasAddress = true
    at = end + 1
  }
  if (hasAddress === (pci['name'] !== undefined))
    return wrong('exactly one of an address and a name is needed')
  return accept(pci)
}

function readOption(pci: LibxlObject, key: string, value: string): string | undefined {
  switch (key) {
    case 'bdf':
      return readAddress(pci, value) > 0 ? undefined : 'not an address'
    case 'vslot':
      return readSlot(pci, value) > 0 ? undefined : 'not a virtual slot'
    case 'permissive':
    case 'msitranslate':
    case 'seize':
    case 'power_mgmt':
      pci[key] = toInt(value) !== 0
      return undefined
    case 'rdm_policy': {
      const policy = wordIn(RDM_POLICIES, value)
      if (policy === undefined) return 'unknown rdm policy'
      pci['rdm_policy'] = policy
      return undefined
    }
    case 'name':
      pci['name'] = value
      return undefined
    default:
      return 'unknown option'
  }
}

/** How many characters the address takes; 0 if there is none. */
function readAddress(pci: LibxlObject, text: string): number {
  // libxlu decides by the colons before anything that is not a hexadecimal digit.
  const colons = /^[0-9a-fA-F:]*/.exec(text)![0].split(':').length - 1
  if (colons !== 1 && colons !== 2) return 0
  const match = (colons === 1 ? TWO_FIELDS : THREE_FIELDS).exec(text)
  if (match === null) return 0
  const fields = match.slice(1, colons + 2).map((field) => readHex(field))
  const [domain, bus, dev] = colons === 1 ? [0, ...fields] : fields
  const all = match[colons + 2] === '*'
  const func = all ? 0 : readHex(match[colons + 3]!)
  if (domain! > 0xffff || bus! > 0xff || dev! > 0x1f || func > 7) return 0
  Object.assign(pci, { domain: domain!, bus: bus!, dev: dev!, func, vfunc_mask: all ? ALL_FUNCTIONS : 1 })
  return match[0].length
}

/** scanf cuts to 32 bits what strtoul saturated to 64. */
function readHex(digits: string): number {
  return Number(BigInt.asUintN(32, unsignedLong(digits, 16).value))
}

function readSlot(pci: LibxlObject, text: string): number {
  const match = SLOT.exec(text)
  const slot = match === null ? 32 : readHex(match[1]!)
  if (match === null || slot > 0x1f) return 0
  pci['vdevfn'] = slot << 3
  return match[0].length
}

/**
 * `strategy=host,policy=...`. XEN: libxlu's test of the policy is upside down: it refuses `strict` and `relaxed`
 * and takes everything else as no policy. Kept, since the key has no effect here.
 */
export function parseRdm(spec: string): SpecResult<LibxlObject> {
  const rdm: LibxlObject = { strategy: 'ignore', policy: 'invalid' }
  let at = 0
  for (const text of spec.split(',')) {
    const equals = text.indexOf('=')
    const [key, value] = [text.slice(0, equals), text.slice(equals + 1)]
    const known =
      equals >= 0 &&
      (key === 'strategy' ? value === 'host' : key === 'policy' && wordIn(RDM_POLICIES, value) === undefined)
    if (!known) return refuse({ message: 'cannot be used', near: text, at })
    if (key === 'strategy') rdm['strategy'] = value
    at += text.length + 1
  }
  const doubt = { message: 'no known policy', near: spec, at: 0 }
  return accept(rdm, spec.includes('policy=') ? [doubt] : [])
}
