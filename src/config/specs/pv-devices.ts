/**
 * Rarer paravirtual devices: `vtpm`, `pvcalls`, `vdispl`, `virtio`, and `smbios` strings.
 * The results are libxl's structures, its names.
 */
import type { LibxlObject } from '../libxl-config.ts'
import { numberPrefix, toInt } from '../xl/number.ts'
import { accept, refuse, type SpecFault, type SpecResult } from './fault.ts'
import { option, type SpecToken, tokens, wordIn } from './tokens.ts'

/** libuuid's form, any case; the answer is lower case. */
export function parseUuid(text: string): string | undefined {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text) ? text.toLowerCase() : undefined
}

const unknown = <T>({ text, at }: SpecToken): SpecResult<T> =>
  refuse({ message: 'unknown option', near: text, at })
const bareWord = ({ text, at }: SpecToken): SpecFault => ({
  message: 'a word without = ends the spec',
  near: text,
  at,
})

export function parseVtpm(spec: string): SpecResult<LibxlObject> {
  const vtpm: LibxlObject = {}
  const warnings: SpecFault[] = []
  for (const token of tokens(spec)) {
    const part = option(token)
    if (part === undefined) {
      warnings.push(bareWord(token))
      break
    }
    if (part.key === 'backend') vtpm['backend_domname'] = part.value
    else if (part.key === 'uuid') {
      const uuid = parseUuid(part.value)
      if (uuid === undefined) return refuse({ message: 'not a uuid', near: token.text, at: token.at })
      vtpm['uuid'] = uuid
    } else return unknown(token)
  }
  if (vtpm['backend_domname'] === undefined)
    return refuse({ message: 'backend= is missing', near: spec, at: 0 })
  return accept(vtpm, warnings)
}

export function parsePvcalls(spec: string): SpecResult<LibxlObject> {
  const pvcalls: LibxlObject = {}
  for (const token of tokens(spec)) {
    const part = option(token)
    if (part === undefined) return accept(pvcalls, [bareWord(token)])
    if (part.key !== 'backend') return unknown(token)
    pvcalls['backend_domname'] = part.value
  }
  return accept(pvcalls)
}

/** `connectors=ID:WxH;ID:WxH`. */
export function parseVdispl(spec: string): SpecResult<LibxlObject> {
  const vdispl: LibxlObject = {}
  const warnings: SpecFault[] = []
  let connectors: readonly LibxlObject[] = []
  for (const token of tokens(spec)) {
    const part = option(token)
    if (part?.key === 'backend') vdispl['backend_domname'] = part.value
    else if (part?.key === 'be-alloc') vdispl['be_alloc'] = toInt(part.value, 0) !== 0
    else if (part?.key === 'connectors') {
      const parsed = parseConnectors(part.value)
      if (parsed === undefined || parsed.length === 0)
        return refuse({ message: 'not of the form ID:WIDTHxHEIGHT', near: token.text, at: token.at })
      connectors = parsed
      if (connectors.some(({ height }) => height === undefined)) {
        warnings.push({
          message: 'not of the form ID:WIDTHxHEIGHT; goes without a size',
          near: token.text,
          at: token.at,
        })
      }
    } else return unknown(token)
  }
  if (connectors.length === 0)
    return refuse({ message: 'at least one connector is needed', near: spec, at: 0 })
  return accept({ ...vdispl, connectors }, warnings)
}

/**
 * XEN: a size that does not start with a number ends the reading, and that connector and those behind it go
 * without a size; only half a size is a fault.
 */
function parseConnectors(text: string): readonly LibxlObject[] | undefined {
  const parts = text.split(';').filter((part) => part !== '')
  const connectors: LibxlObject[] = parts.map(() => ({}))
  for (const [i, part] of parts.entries()) {
    const [id, size] = part.split(':').filter((piece) => piece !== '')
    if (id === undefined || size === undefined) return undefined
    connectors[i]!['unique_id'] = id
    const width = /^\s*([0-9]{1,9})/.exec(size)
    if (width === null) return connectors
    const height = /^x\s*([0-9]{1,9})/.exec(size.slice(width[0].length))
    if (height === null) return undefined
    Object.assign(connectors[i]!, { width: Number(width[1]), height: Number(height[1]) })
  }
  return connectors
}

/** The comma of `type=virtio,deviceN` belongs to the value. */
export function parseVirtio(spec: string): SpecResult<LibxlObject> {
  const virtio: LibxlObject = {}
  const parts = tokens(spec)
  for (let i = 0; i < parts.length; i++) {
    const token = parts[i]!
    const part = option(token)
    if (part?.key === 'backend') virtio['backend_domname'] = part.value
    else if (part?.key === 'type') {
      const device = part.value.startsWith('virtio') ? parts[++i]?.text : ''
      if (device === undefined)
        return refuse({ message: 'type=virtio needs ,deviceN', near: token.text, at: token.at })
      virtio['type'] = device === '' ? part.value : `${part.value},${device}`
    } else if (part?.key === 'transport') {
      const transport = wordIn(['unknown', 'mmio'], part.value)
      if (transport === undefined)
        return refuse({ message: 'unknown transport', near: token.text, at: token.at })
      virtio['transport'] = transport
    } else if (part?.key === 'grant_usage') virtio['grant_usage'] = numberPrefix(part.value, 0).value !== 0n
    else return unknown(token)
  }
  return accept(virtio)
}

const SMBIOS_KEYS = [
  'bios_vendor',
  'bios_version',
  'system_manufacturer',
  'system_product_name',
  'system_version',
  'system_serial_number',
  'baseboard_manufacturer',
  'baseboard_product_name',
  'baseboard_version',
  'baseboard_serial_number',
  'baseboard_asset_tag',
  'baseboard_location_in_chassis',
  'enclosure_manufacturer',
  'enclosure_serial_number',
  'enclosure_asset_tag',
  'battery_manufacturer',
  'battery_device_name',
  'oem',
] as const

export function parseSmbios(spec: string): SpecResult<LibxlObject> {
  const part = option({ text: spec, at: 0 })
  if (part === undefined) return refuse({ message: 'not of the form key=value', near: spec, at: 0 })
  if (part.value === '') return refuse({ message: 'the value is empty', near: spec, at: 0 })
  const key = wordIn(SMBIOS_KEYS, part.key)
  if (key === undefined)
    return refuse({
      message: 'unknown SMBIOS string',
      near: spec,
      at: 0,
      hint: `Known: ${SMBIOS_KEYS.join(' ')}.`,
    })
  return accept({ key, value: part.value })
}
