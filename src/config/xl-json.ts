/**
 * A domain's configuration as `xl -N create` and `xl list -l` print it: libxl's field order, four blanks a level,
 * fields at their defaults left out, an empty structure as a brace, an empty line and a brace.
 */
import type { LibxlObject, LibxlValue } from './libxl-config.ts'
import { STRUCTURES } from './libxl-layout.ts'

/** A structure without its defaults, fields in libxl's order; `structure` names it in libxl-layout.ts. */
export function arrange(object: LibxlObject, structure: string): LibxlObject {
  const layout = STRUCTURES[structure]!
  const result: LibxlObject = {}
  for (const [name, kind] of layout) {
    const value = arrangeField(object[name], kind)
    if (value !== undefined) result[name] = value
  }
  return result
}

function arrangeField(value: LibxlValue | undefined, kind: string): LibxlValue | undefined {
  if (kind.startsWith('@')) return arrangeStructure(value, kind.slice(1))
  if (value === undefined) return undefined
  const colon = kind.indexOf(':')
  const type = colon < 0 ? kind : kind.slice(0, colon)
  switch (type) {
    case 'int':
      return String(value) === (colon < 0 ? '0' : kind.slice(colon + 1)) ? undefined : value
    case 'enum':
      return colon >= 0 && value === kind.slice(colon + 1) ? undefined : value
    case 'uuid':
      return /^[0-]*$/.test(String(value)) ? undefined : value
    case 'flag':
      return value === true ? true : undefined
    case 'defbool':
      return value === true ? 'True' : 'False'
    case 'list':
      return Array.isArray(value) && value.length === 0 ? undefined : value
    default:
      return value
  }
}

function arrangeStructure(value: LibxlValue | undefined, kind: string): LibxlValue | undefined {
  if (kind.endsWith('[]')) {
    const items = (value ?? []) as readonly LibxlObject[]
    return items.length === 0 ? undefined : items.map((item) => arrange(item, kind.slice(0, -2)))
  }
  if (value === undefined && kind.endsWith('?')) return undefined
  return arrange((value ?? {}) as LibxlObject, kind.replace('?', ''))
}

/** The text of any JSON value in libxl's layout (yajl's), without a newline at the end. */
export function printJson(value: LibxlValue | undefined, indent = ''): string {
  const deeper = `${indent}    `
  if (Array.isArray(value)) {
    if (value.length === 0) return `[\n\n${indent}]`
    return `[\n${value.map((item: LibxlValue) => deeper + printJson(item, deeper)).join(',\n')}\n${indent}]`
  }
  if (typeof value === 'object') {
    const entries = Object.entries(value as LibxlObject).filter(([, item]) => item !== undefined)
    const lines = entries.map(
      ([name, item]) => `${deeper}${JSON.stringify(name)}: ${printJson(item, deeper)}`,
    )
    return `{\n${lines.join(',\n')}\n${indent}}`
  }
  return typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? 'null')
}

/** What `xl -N create` prints for a domain. */
export function printDomain(domain: LibxlObject): string {
  return `${printJson(arrange(domain, 'domain_config'))}\n`
}
