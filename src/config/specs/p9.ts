/**
 * 9pfs shares: `tag=share,path=/srv,security_model=none`; since Xen 4.19 also `type=` and limits. xt's own is `readonly=1`:
 * real xl refuses it, rather than share a folder for writing that was meant to be read.
 *
 * XEN: in 4.17 what an entry does not say is taken from the entry before it; that is kept, with a warning.
 */
import { unsignedLong } from '../xl/number.ts'
import { refuse, type SpecFault, type SpecResult } from './fault.ts'
import { option, tokens, wordIn } from './tokens.ts'

export interface P9Spec {
  tag?: string
  path?: string
  securityModel?: string
  readOnly?: boolean
  backend?: string
  type?: 'qemu' | 'xen_9pfsd'
  maxSpace?: number
  maxFiles?: number
  maxOpenFiles?: number
  autoDelete?: boolean
}

const TEXT_KEYS: ReadonlyMap<string, 'tag' | 'path' | 'securityModel' | 'backend'> = new Map([
  ['tag', 'tag'],
  ['path', 'path'],
  ['security_model', 'securityModel'],
  ['backend', 'backend'],
])
const LIMITS: ReadonlyMap<string, 'maxSpace' | 'maxFiles' | 'maxOpenFiles'> = new Map([
  ['max-space', 'maxSpace'],
  ['max-files', 'maxFiles'],
  ['max-open-files', 'maxOpenFiles'],
])

/** Parses one string of a `p9` list; `before` is what the entry before it came to. */
export function parseP9(spec: string, before: P9Spec = {}): SpecResult<P9Spec> {
  const given: P9Spec = {}
  const warnings: SpecFault[] = []
  for (const token of tokens(spec)) {
    const part = option(token)
    if (part === undefined) {
      warnings.push({ message: 'a word without = ends the spec', near: token.text, at: token.at })
      break
    }
    const message = readP9(given, part.key, part.value)
    if (message !== undefined) return refuse({ message, near: part.text, at: part.at })
  }
  const p9: P9Spec = { ...given }
  for (const key of TEXT_KEYS.values()) {
    if (p9[key] !== undefined || before[key] === undefined) continue
    p9[key] = before[key]
    warnings.push({
      message: `${key} is taken from the entry before`,
      near: spec,
      at: 0,
      hint: 'Newer Xen does not do so: say it.',
    })
  }
  const daemon = p9.type === 'xen_9pfsd'
  if (p9.tag === undefined || (!daemon && (p9.path === undefined || p9.securityModel === undefined))) {
    return refuse({
      message: 'missing required field',
      near: spec,
      at: 0,
      hint: 'tag=, path= and security_model=none are needed.',
    })
  }
  return { value: p9, faults: [], warnings }
}

function readP9(p9: P9Spec, key: string, value: string): string | undefined {
  const textKey = TEXT_KEYS.get(key)
  const limit = LIMITS.get(key)
  if (textKey !== undefined) p9[textKey] = value
  else if (limit !== undefined) {
    const { value: number, length } = unsignedLong(value, 10)
    if (length === 0) return `${key} is not a number`
    p9[limit] = Number(BigInt.asIntN(32, number))
  } else if (key === 'readonly') {
    const word = wordIn(['0', '1', 'no', 'yes'], value)
    if (word === undefined) return 'readonly is neither 0 nor 1'
    p9.readOnly = word === '1' || word === 'yes'
  } else if (key === 'auto-delete') p9.autoDelete = unsignedLong(value, 0).value !== 0n
  else if (key === 'type') {
    const type = wordIn(['qemu', 'xen_9pfsd'], value)
    if (type === undefined) return 'unknown type'
    p9.type = type
  } else return 'unknown option'
  return undefined
}
