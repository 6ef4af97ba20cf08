/** Comma separated specs as most of xl's little languages cut them: empty parts count for nothing. */

export interface SpecToken {
  readonly text: string
  /** Offset in the spec. */
  readonly at: number
}

export interface SpecOption extends SpecToken {
  readonly key: string
  readonly value: string
}

/** The parts of a spec, without the spaces before each (those behind belong to the part). */
export function tokens(spec: string, separator = ','): SpecToken[] {
  const found: SpecToken[] = []
  let at = 0
  for (const part of spec.split(separator)) {
    const text = part.replace(/^ +/, '')
    if (part !== '') found.push({ text, at: at + part.length - text.length })
    at += part.length + 1
  }
  return found
}

/** `key=value`, cut at the first `=`; undefined without one. */
export function option({ text, at }: SpecToken): SpecOption | undefined {
  const equals = text.indexOf('=')
  return equals < 0 ? undefined : { text, at, key: text.slice(0, equals), value: text.slice(equals + 1) }
}

/** The word of a libxl enumeration, compared whatever the case, as libxl's own readers do. */
export function wordIn<const W extends string>(words: readonly W[], text: string): W | undefined {
  const lower = text.toLowerCase()
  return words.find((word) => word === lower)
}
