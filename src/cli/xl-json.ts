/** JSON in the form in which xl prints it (yajl): four blanks a level, an empty line inside what is empty. Pure. */

export function xlJson(value: unknown): string {
  return `${print(value, '')}\n`
}

function print(value: unknown, indent: string): string {
  const deeper = `${indent}    `
  const block = (open: string, items: readonly string[], close: string) =>
    `${open}\n${items.map((item) => `${deeper}${item}`).join(',\n')}\n${indent}${close}`
  if (Array.isArray(value)) {
    return block(
      '[',
      value.map((item) => print(item, deeper)),
      ']',
    )
  }
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).filter(([, member]) => member !== undefined)
    return block(
      '{',
      members.map(([key, member]) => `${JSON.stringify(key)}: ${print(member, deeper)}`),
      '}',
    )
  }
  return JSON.stringify(value)
}
