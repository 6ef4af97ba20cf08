/** The keys whose values go into libxl's structure as they are, by the table in keys.ts. */
import { KEYS, type KeyRow } from '../keys.ts'
import type { LibxlValue } from '../libxl-config.ts'
import type { Reader } from './reader.ts'

export function readPlainKeys(reader: Reader): void {
  for (const row of KEYS.values()) {
    const { put, key } = row
    if (put === undefined || (put.only !== undefined && put.only !== reader.type)) continue
    if (reader.settings.get(key) !== undefined) reader.put(put.path, plainValue(reader, row))
  }
}

function plainValue({ settings, problems }: Reader, { key, type, put }: KeyRow): LibxlValue | undefined {
  if (type === 'string') return settings.string(key)
  if (type === 'boolean') return settings.boolean(key)
  if (type === 'list') {
    const { value } = settings.get(key)!
    if (value.kind === 'list') return settings.items(key).map((item) => item.text)
    problems.error(value.at, value.end, 'XT_CONFIG_NOT_A_LIST', key)
    return undefined
  }
  const number = settings.number(key)
  if (number === undefined) return undefined
  // XEN: numbers are cut to the width of libxl's field.
  if (put!.as === 'memkb') return BigInt.asUintN(64, number * 1024n)
  return Number(put!.as === 'uint32' ? BigInt.asUintN(32, number) : BigInt.asIntN(32, number))
}
