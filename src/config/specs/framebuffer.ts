/** Paravirtual framebuffers and keyboards (`vfb`, `vkb`). The results are libxl's structures, its names. */
import type { LibxlObject } from '../libxl-config.ts'
import { toInt } from '../xl/number.ts'
import { accept, refuse, type SpecFault, type SpecResult } from './fault.ts'
import { option, tokens, wordIn } from './tokens.ts'

type Field = readonly [place: 'vnc' | 'sdl' | '', name: string, kind: 'flag' | 'int' | 'text']

const VFB_FIELDS: ReadonlyMap<string, Field> = new Map<string, Field>([
  ['vnc', ['vnc', 'enable', 'flag']],
  ['vnclisten', ['vnc', 'listen', 'text']],
  ['vncpasswd', ['vnc', 'passwd', 'text']],
  ['vncdisplay', ['vnc', 'display', 'int']],
  ['vncunused', ['vnc', 'findunused', 'flag']],
  ['keymap', ['', 'keymap', 'text']],
  ['sdl', ['sdl', 'enable', 'flag']],
  ['opengl', ['sdl', 'opengl', 'flag']],
  ['display', ['sdl', 'display', 'text']],
  ['xauthority', ['sdl', 'xauthority', 'text']],
])

/** One string of a `vfb` list. XEN: unknown options are ignored and a word without `=` ends the spec, in silence; here with a warning. */
export function parseVfb(spec: string): SpecResult<LibxlObject> {
  const vnc: LibxlObject = {}
  const sdl: LibxlObject = {}
  const vfb: LibxlObject = { vnc, sdl }
  const warnings: SpecFault[] = []
  for (const token of tokens(spec)) {
    const part = option(token)
    if (part === undefined) {
      warnings.push({ message: 'a word without = ends the spec', near: token.text, at: token.at })
      break
    }
    const field = VFB_FIELDS.get(part.key)
    if (field === undefined) {
      warnings.push({ message: 'unknown option, ignored', near: token.text, at: token.at })
      continue
    }
    const [place, name, kind] = field
    const target = place === 'vnc' ? vnc : place === 'sdl' ? sdl : vfb
    target[name] = kind === 'text' ? part.value : kind === 'int' ? toInt(part.value) : toInt(part.value) !== 0
  }
  return accept(vfb, warnings)
}

const VKB_NUMBERS: ReadonlySet<string> = new Set([
  'width',
  'height',
  'multi-touch-width',
  'multi-touch-height',
  'multi-touch-num-contacts',
])
const VKB_FLAGS: ReadonlySet<string> = new Set([
  'feature-disable-keyboard',
  'feature-disable-pointer',
  'feature-abs-pointer',
  'feature-raw-pointer',
  'feature-multi-touch',
])

/** One string of a `vkb` list. */
export function parseVkb(spec: string): SpecResult<LibxlObject> {
  const vkb: LibxlObject = {}
  for (const token of tokens(spec)) {
    const part = option(token)
    const name = part?.key.replaceAll('-', '_') ?? ''
    if (part === undefined) return refuse({ message: 'unknown option', near: token.text, at: token.at })
    if (part.key === 'backend') vkb['backend_domname'] = part.value
    else if (part.key === 'unique-id') vkb[name] = part.value
    else if (VKB_FLAGS.has(part.key)) vkb[name] = toInt(part.value, 0) !== 0
    else if (VKB_NUMBERS.has(part.key)) vkb[name] = toInt(part.value, 0) >>> 0
    else if (part.key === 'backend-type') {
      const type = wordIn(['unknown', 'qemu', 'linux'], part.value)
      if (type === undefined)
        return refuse({ message: 'unknown backend-type', near: token.text, at: token.at })
      vkb[name] = type
    } else return refuse({ message: 'unknown option', near: token.text, at: token.at })
  }
  const type = vkb['backend_type']
  if (type === undefined || type === 'unknown') {
    return refuse({
      message: 'backend-type is missing',
      near: spec,
      at: 0,
      hint: 'Say backend-type=qemu or backend-type=linux.',
    })
  }
  const sized = ['multi_touch_width', 'multi_touch_height', 'multi_touch_num_contacts'].some(
    (name) => vkb[name],
  )
  if (sized) vkb['feature_multi_touch'] = true
  if (vkb['feature_multi_touch'] === true && !sized) {
    return refuse({
      message: 'feature-multi-touch needs multi-touch-width, -height or -num-contacts',
      near: spec,
      at: 0,
    })
  }
  return accept(vkb)
}
