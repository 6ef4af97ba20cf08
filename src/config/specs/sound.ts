/**
 * Sound cards (`vsnd`): a list of lists; each string is `CARD, ...`, `PCM, ...` or `STREAM, ...`, where PCMs
 * belong to the card and streams to the last PCM. The result is libxl's structure, its names.
 */
import type { LibxlObject } from '../libxl-config.ts'
import { toInt } from '../xl/number.ts'
import { accept, refuse, type SpecResult } from './fault.ts'
import { option, tokens, wordIn } from './tokens.ts'

const FORMATS = (
  's8 u8 s16_le s16_be u16_le u16_be s24_le s24_be u24_le u24_be s32_le s32_be u32_le u32_be f32_le f32_be ' +
  'f64_le f64_be iec958_subframe_le iec958_subframe_be mu_law a_law ima_adpcm mpeg gsm'
).split(' ')

interface Part extends LibxlObject {
  params: LibxlObject
}

/** A card under construction. */
export class SoundCard {
  readonly #card: Part = { params: {} }
  readonly #pcms: { readonly pcm: Part; readonly streams: Part[] }[] = []

  /** One string of the card's list. */
  add(spec: string): SpecResult<undefined> {
    const [kind, ...rest] = tokens(spec)
    const word = kind === undefined ? undefined : wordIn(['card', 'pcm', 'stream'], kind.text)
    if (kind === undefined) return accept(undefined)
    if (word === undefined)
      return refuse({ message: 'starts with none of CARD, PCM, STREAM', near: kind.text, at: kind.at })
    const target = this.#target(word)
    for (const token of rest) {
      const part = option(token)
      const message =
        part === undefined ? 'unknown option' : readParameter(word, target, part.key, part.value)
      if (message !== undefined) return refuse({ message, near: token.text, at: token.at })
    }
    return accept(undefined)
  }

  finish(): LibxlObject {
    return { ...this.#card, pcms: this.#pcms.map(({ pcm, streams }) => ({ ...pcm, streams })) }
  }

  #target(word: 'card' | 'pcm' | 'stream'): Part {
    if (word === 'card') return this.#card
    if (word === 'pcm' || this.#pcms.length === 0) this.#pcms.push({ pcm: { params: {} }, streams: [] })
    const last = this.#pcms.at(-1)!
    if (word === 'pcm') return last.pcm
    const stream: Part = { params: {} }
    last.streams.push(stream)
    return stream
  }
}

const OWN_KEYS: Readonly<Record<'card' | 'pcm' | 'stream', ReadonlyMap<string, string>>> = {
  card: new Map([
    ['backend', 'backend_domname'],
    ['short-name', 'short_name'],
    ['long-name', 'long_name'],
  ]),
  pcm: new Map([['name', 'name']]),
  stream: new Map([['unique-id', 'unique_id']]),
}

function readParameter(
  word: 'card' | 'pcm' | 'stream',
  target: Part,
  key: string,
  value: string,
): string | undefined {
  const own = OWN_KEYS[word].get(key)
  const list = value.split(';').filter((text) => text !== '')
  if (own !== undefined) target[own] = value
  else if (key === 'sample-rates') target.params['sample_rates'] = list.map((text) => toInt(text, 0) >>> 0)
  else if (key === 'sample-formats') {
    const formats = list.map((text) => wordIn(FORMATS, text))
    if (formats.includes(undefined)) return 'unknown sample format'
    target.params['sample_formats'] = formats as string[]
  } else if (key === 'channels-min' || key === 'channels-max' || key === 'buffer-size') {
    target.params[key.replace('-', '_')] = toInt(value, 0) >>> 0
  } else if (word === 'stream' && key === 'type') {
    const type = wordIn(['p', 'c'], value)
    if (type === undefined) return 'unknown stream type'
    target['type'] = type
  } else return 'unknown option'
  return undefined
}
