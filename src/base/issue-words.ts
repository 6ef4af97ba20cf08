/**
 * What a schema says against a value, in a person's words: zod's own speak of strings to have >=1 characters.
 *
 * Known by its shape, not by zod's types: a plugin may carry a zod of its own. What is not known keeps its message.
 */

export interface SchemaIssue {
  readonly code?: string | undefined
  readonly message: string
  readonly origin?: string
  readonly minimum?: number | bigint
  readonly maximum?: number | bigint
  readonly inclusive?: boolean
  readonly values?: readonly unknown[]
  readonly keys?: readonly string[]
  readonly expected?: string
}

/** With the place in front of it; a schema's own message is kept apart from it by a colon. */
export function issueSentence(issue: SchemaIssue, place: string): string {
  const words = issueWords(issue)
  return place === '' ? words : `${place}${words === issue.message ? ':' : ''} ${words}`
}

export function issueWords(issue: SchemaIssue): string {
  const { code, message, values, keys } = issue
  switch (code) {
    case 'too_small':
      return issue.minimum === undefined ? message : bound(issue, 'least', issue.minimum)
    case 'too_big':
      return issue.maximum === undefined ? message : bound(issue, 'most', issue.maximum)
    case 'invalid_value':
      if (values === undefined) return message
      return `must be ${values.length > 1 ? 'one of ' : ''}${values.map((value) => JSON.stringify(value)).join(', ')}`
    case 'unrecognized_keys':
      return keys === undefined ? message : `does not know ${keys.map((key) => `"${key}"`).join(', ')}`
    case 'invalid_type':
      if (message.endsWith('received undefined')) return 'is missing'
      return issue.expected === undefined ? message : `must be ${kind(issue.expected)}`
    default:
      return message
  }
}

function bound(
  { origin, inclusive = true }: SchemaIssue,
  side: 'least' | 'most',
  limit: number | bigint,
): string {
  if (origin === 'string') {
    if (side === 'least' && Number(limit) === 1) return 'must not be empty'
    return `must have at ${side} ${limit} characters`
  }
  if (origin === 'array' || origin === 'set') return `must have at ${side} ${limit} items`
  if (!inclusive) return `must be ${side === 'least' ? 'more' : 'less'} than ${limit}`
  return `must be at ${side} ${limit}`
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
}

const kind = (expected: string): string => KINDS[expected] ?? expected
