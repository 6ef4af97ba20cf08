/**
 * Disk specs (xl-disk-configuration(5)): positional and named parameters, flags, the deprecated prefixes.
 *
 * The rules of libxlutil's disk lexer are kept as a table, tried in order, longest match first, because its
 * stranger answers follow from nothing else. Xen 4.22's `grant_usage` is included.
 */
import { toInt } from '../xl/number.ts'
import { accept, refuse, type SpecFault, type SpecResult } from './fault.ts'

export const DISK_FORMATS = ['raw', 'qcow', 'qcow2', 'vhd', 'qed', 'empty'] as const
export const DISK_BACKEND_TYPES = ['phy', 'tap', 'qdisk', 'standalone'] as const
export const DISK_SPECIFICATIONS = ['xen', 'virtio'] as const

/** A disk as its spec gives it; what was not given is absent, what was given empty is ''. */
export interface DiskSpec {
  target?: string
  vdev?: string
  format?: (typeof DISK_FORMATS)[number]
  readwrite: boolean
  removable: boolean
  cdrom: boolean
  backend?: string
  backendtype?: (typeof DISK_BACKEND_TYPES)[number]
  specification?: (typeof DISK_SPECIFICATIONS)[number]
  script?: string
  directIoSafe: boolean
  discard?: boolean
  trusted?: boolean
  grantUsage?: boolean
  colo?: boolean
  coloHost?: string
  coloPort?: number
  coloExport?: string
  activeDisk?: string
  hiddenDisk?: string
}

/** Longer specs are refused: nothing real comes near. */
const LONGEST_SPEC = 16384

/** Parses the strings that together describe one disk (in a file always one; block-attach may give several). */
export function parseDisk(...specs: readonly string[]): SpecResult<DiskSpec> {
  const reader = new DiskReader()
  for (const spec of specs) {
    if (spec.length > LONGEST_SPEC)
      return refuse({ message: 'disk spec too long', near: spec.slice(0, 40), at: 0 })
    reader.read(spec)
    if (reader.faults.length > 0) return refuse(...reader.faults)
  }
  return reader.finish()
}

type TextKey =
  | 'target'
  | 'vdev'
  | 'backend'
  | 'script'
  | 'coloHost'
  | 'coloExport'
  | 'activeDisk'
  | 'hiddenDisk'
type FlagKey = 'discard' | 'trusted' | 'colo' | 'grantUsage'

/** What a rule does with its text (without the comma behind it) and with the value behind its `=`; 'stop' ends the spec. */
type Action = (reader: DiskReader, text: string, value: string) => unknown

const saves =
  (key: TextKey, name: string = key): Action =>
  (reader, _text, value) =>
    reader.save(key, name, value)
const sets =
  (key: FlagKey, on: boolean): Action =>
  (reader) => {
    reader.disk[key] = on
  }
const cdrom =
  (on: boolean): Action =>
  (reader) => {
    reader.disk.cdrom = on
  }
const oldPrefix: Action = (reader) => {
  reader.hadPrefix = true
}

/**
 * Group 1 is what is taken; what follows it only counts for the length. `.` stops at a newline, `[^...]` does not.
 */
const RULES: readonly (readonly [RegExp, Action])[] = [
  [/([ \t\n]+)(?:[^ \t\n].*)?/y, () => {}],
  [/(format=[^,]*,?)/y, (reader, _text, value) => reader.setFormat(value)],
  [/(cdrom,?)/y, cdrom(true)],
  [/(devtype=cdrom,?)/y, cdrom(true)],
  [/(devtype=disk,?)/y, cdrom(false)],
  [
    /(devtype=[^,]*,?)/y,
    (reader, text) => reader.fail('unknown value for type', text, 'Use devtype=disk or devtype=cdrom.'),
  ],
  [/(access=[^,]*,?)/y, (reader, _text, value) => reader.setAccess(value)],
  [/(backend=[^,]*,?)/y, saves('backend')],
  [
    /(backendtype=[^,]*,?)/y,
    (reader, _text, value) => reader.choose('backendtype', DISK_BACKEND_TYPES, value),
  ],
  [
    /(specification=[^,]*,?)/y,
    (reader, _text, value) => reader.choose('specification', DISK_SPECIFICATIONS, value),
  ],
  [/(vdev=[^,]*,?)/y, saves('vdev')],
  [/(script=[^,]*,?)/y, saves('script')],
  [
    /(direct-io-safe,?)/y,
    (reader) => {
      reader.disk.directIoSafe = true
    },
  ],
  [/(discard,?)/y, sets('discard', true)],
  [/(no-discard,?)/y, sets('discard', false)],
  [/(colo,?)/y, sets('colo', true)],
  [/(no-colo,?)/y, sets('colo', false)],
  [/(colo-host=[^,]*,?)/y, saves('coloHost', 'colo-host')],
  [/(colo-port=[^,]*,?)/y, (reader, _text, value) => reader.setColoPort(value)],
  [/(colo-export=[^,]*,?)/y, saves('coloExport', 'colo-export')],
  [/(active-disk=[^,]*,?)/y, saves('activeDisk', 'active-disk')],
  [/(hidden-disk=[^,]*,?)/y, saves('hiddenDisk', 'hidden-disk')],
  [/(trusted,?)/y, sets('trusted', true)],
  [/(untrusted,?)/y, sets('trusted', false)],
  [/(grant_usage=1,?)/y, sets('grantUsage', true)],
  [/(grant_usage=0,?)/y, sets('grantUsage', false)],
  [/(target=.*)/y, saves('target')],
  [/([a-z][-a-z0-9]*=[^,],?)/y, (reader, text) => reader.fail('unknown parameter', text)],
  [
    /((?:raw|qcow2?|vhd):).*/y,
    (reader, text) => {
      reader.hadPrefix = true
      reader.setFormat(text.slice(0, -1))
    },
  ],
  [
    /((?:iscsi|e?nbd|drbd):).*/y,
    (reader, text) => {
      reader.hadPrefix = true
      reader.save('script', 'script', `block-${text.slice(0, -1)}`)
    },
  ],
  [/((?:tapdisk|tap2?|aio|ioemu|file|phy):).*/y, oldPrefix],
  [
    /([a-z][a-z0-9]*:)(?:[^a-z0-9].*)?/y,
    (reader, text) => {
      reader.fail('unknown deprecated disk prefix', text, 'Give it by name: target=...')
      return 'stop'
    },
  ],
  [/([^=,]*,|[^=,]+,?)/y, (reader, text) => reader.positional(text)],
]

class DiskReader {
  readonly disk: DiskSpec = { readwrite: true, removable: false, cdrom: false, directIoSafe: false }
  readonly faults: SpecFault[] = []
  readonly warnings: SpecFault[] = []
  hadPrefix = false
  #accessSet = false
  #spec = ''
  #at = 0

  read(spec: string): void {
    this.#spec = spec
    for (this.#at = 0; this.#at < spec.length; ) {
      const rule = longest(spec, this.#at)
      if (rule === undefined) {
        // XEN: a stray = as the very last character goes unnoticed.
        if (this.#at === spec.length - 1) {
          this.warnings.push({ message: 'the last character is ignored', near: '=', at: this.#at })
          return
        }
        this.fail('bad disk syntax', spec.slice(this.#at).split('\n')[0]!)
        return
      }
      const text = rule.text.replace(/,$/, '')
      if (rule.action(this, text, text.slice(text.indexOf('=') + 1)) === 'stop') return
      this.#at += rule.text.length
    }
  }

  finish(): SpecResult<DiskSpec> {
    const { disk } = this
    disk.format ??= 'raw'
    if (disk.cdrom) {
      disk.removable = true
      disk.readwrite = false
      if (!disk.target) disk.format = 'empty'
    }
    const whole = { near: this.#spec, at: 0 }
    if (disk.vdev === undefined)
      return refuse({
        message: 'no vdev specified',
        ...whole,
        hint: 'Name the disk the guest sees: vdev=xvda.',
      })
    if (disk.target === undefined && !disk.removable)
      return refuse({
        message: 'no target specified (and device not removable)',
        ...whole,
        hint: 'Name the file or device: target=PATH, as the last parameter.',
      })
    return accept(disk, this.warnings)
  }

  fail(message: string, near: string, hint?: string): void {
    const found = this.#spec.indexOf(near, this.#at)
    this.faults.push({
      message,
      near,
      at: found < 0 ? this.#at : found,
      ...(hint === undefined ? {} : { hint }),
    })
  }

  /** A second value is an error, unless the first was empty. */
  save(key: TextKey, name: string, value: string): void {
    if (this.disk[key]) this.fail(`${name} respecified`, value)
    else this.disk[key] = value
  }

  choose<K extends 'format' | 'backendtype' | 'specification'>(
    key: K,
    words: readonly NonNullable<DiskSpec[K]>[],
    value: string,
    near = value,
  ): void {
    const word = words.find((known) => known === value)
    // XEN: libxl's name for the field of the backend type is `backend`.
    const name = key === 'backendtype' ? 'backend' : key
    if (word === undefined) this.fail(`unknown value for ${key}`, near, `Known: ${words.join(' ')}.`)
    else if (this.disk[key] !== undefined && this.disk[key] !== word) this.fail(`${name} respecified`, near)
    else this.disk[key] = word
  }

  setFormat(value: string): void {
    this.choose('format', DISK_FORMATS, value === '' ? 'raw' : value, value)
  }

  setAccess(value: string): void {
    if (value === 'r' || value === 'ro') this.disk.readwrite = false
    else if (value === 'w' || value === 'rw' || value === '') this.disk.readwrite = true
    else this.fail('unknown value for access', value, 'Known: r ro w rw.')
  }

  setColoPort(value: string): void {
    // XEN: any number but 0 will do, whatever stands behind it.
    const port = toInt(value)
    if (port !== 0) this.disk.coloPort = port
    else this.fail('unknown value for colo_port', value)
  }

  /** Positional parameters fill target, format, vdev, access, leaving out what was given by name. */
  positional(text: string): unknown {
    const { disk } = this
    if (this.faults.length > 0) return undefined
    if (disk.target === undefined) this.save('target', 'target', text)
    else if (!this.hadPrefix && disk.format === undefined) {
      if (disk.target === '' && this.#vdevAndType(text)) disk.format = 'empty'
      else this.setFormat(text)
    } else if (disk.vdev === undefined) {
      if (!this.#vdevAndType(text)) this.save('vdev', 'vdev', text)
    } else if (!this.#accessSet) {
      this.#accessSet = true
      this.setAccess(text)
    } else {
      this.fail('too many positional parameters', text)
      return 'stop'
    }
    return undefined
  }

  /** The old `hdc:cdrom`. */
  #vdevAndType(text: string): boolean {
    const colon = text.lastIndexOf(':')
    if (colon < 0) return false
    const type = text.slice(colon + 1)
    this.save('vdev', 'vdev', text.slice(0, colon))
    if (type === 'cdrom' || type === 'disk') this.disk.cdrom = type === 'cdrom'
    else this.fail('unknown deprecated type', type)
    return true
  }
}

/** The rule whose match, trailing context included, is longest; the first of several. */
function longest(spec: string, at: number): { readonly text: string; readonly action: Action } | undefined {
  let best: { text: string; action: Action } | undefined
  let bestLength = 0
  for (const [pattern, action] of RULES) {
    pattern.lastIndex = at
    const match = pattern.exec(spec)
    if (match === null || match[0].length <= bestLength) continue
    bestLength = match[0].length
    best = { text: match[1]!, action }
  }
  return best
}
