/** Plain data for people: one value a line, what belongs together indented below its name. Pure. */

export type Plain =
  | string
  | number
  | boolean
  | null
  | undefined
  | readonly Plain[]
  | { readonly [key: string]: Plain }

/** Lines of an object; what is empty or undefined is left out. */
export function outline(value: { readonly [key: string]: Plain }, indent = ''): string {
  return Object.entries(value)
    .map(([name, item]) => lines(name, item, indent))
    .join('')
}

function lines(name: string, item: Plain, indent: string): string {
  if (item === undefined || (Array.isArray(item) && item.length === 0)) return ''
  if (item === null || typeof item !== 'object') return `${indent}${name}: ${scalar(item)}\n`
  if (!Array.isArray(item))
    return `${indent}${name}:\n${outline(item as { [key: string]: Plain }, `${indent}  `)}`
  return item.map((each, i) => lines(`${name}[${i}]`, each as Plain, indent)).join('')
}

/** Strings as JSON has them: what ends a line or moves a cursor is escaped. */
const scalar = (value: string | number | boolean | null): string => JSON.stringify(value)
