/**
 * What the readers of a domain's keys share: the settings, the place for problems, libxl's structure as it grows,
 * and the devices in their own words.
 */
import type { LibxlObject, LibxlValue } from '../libxl-config.ts'
import type { Problems } from '../problem.ts'
import type { Settings } from '../settings.ts'
import type { ChannelSpec } from '../specs/channel.ts'
import { type HostTopology, hostCpus } from '../specs/cpus.ts'
import type { DiskSpec } from '../specs/disk.ts'
import type { SpecFault, SpecResult } from '../specs/fault.ts'
import type { P9Spec } from '../specs/p9.ts'
import { wordIn } from '../specs/tokens.ts'
import type { VifSpec } from '../specs/vif.ts'
import type { Atom } from '../xl/ast.ts'
import { readNumber } from '../xl/number.ts'

export type DomainType = 'pvh' | 'hvm' | 'pv'

/** Far more devices than any guest has; keeps the work on a hostile file small. */
const MOST_ITEMS = 4096

/** A device and where the file speaks of it. */
export interface Placed<T> {
  readonly spec: T
  readonly item: Atom
}

export interface Devices {
  disks: readonly Placed<DiskSpec>[]
  vifs: readonly Placed<VifSpec>[]
  p9: readonly Placed<P9Spec>[]
  channels: readonly Placed<ChannelSpec>[]
}

export class Reader {
  readonly settings: Settings
  readonly problems: Problems
  readonly host: HostTopology
  readonly newUuid: () => string
  /** Keys that belong to plugins. */
  readonly pluginKeys: ReadonlySet<string>
  /** libxl's domain_config. */
  readonly libxl: LibxlObject = {}
  readonly devices: Devices = { disks: [], vifs: [], p9: [], channels: [] }
  type: DomainType = 'pv'

  constructor(
    settings: Settings,
    host: HostTopology,
    newUuid: () => string,
    pluginKeys: ReadonlySet<string> = new Set(),
  ) {
    this.settings = settings
    this.problems = settings.problems
    this.host = host
    this.newUuid = newUuid
    this.pluginKeys = pluginKeys
  }

  get hostCpus(): number {
    return hostCpus(this.host)
  }

  put(path: readonly string[], value: LibxlValue | undefined): void {
    if (value === undefined) return
    let target = this.libxl
    for (const name of path.slice(0, -1)) {
      target[name] ??= {}
      target = target[name] as LibxlObject
    }
    target[path.at(-1)!] = value
  }

  get(...path: readonly string[]): LibxlValue | undefined {
    let value: LibxlValue | undefined = this.libxl
    for (const name of path) value = (value as LibxlObject | undefined)?.[name]
    return value
  }

  /** An error at a key's value. */
  refuse(
    key: string,
    allowed: string,
    code: 'XT_CONFIG_VALUE' | 'XT_CONFIG_UNKNOWN_WORD' = 'XT_CONFIG_VALUE',
  ): void {
    const value = this.settings.get(key)?.value
    const shown = value === undefined ? '' : value.kind === 'atom' ? value.text : '[...]'
    const end = value?.kind === 'atom' ? value.end : (value?.at ?? -1) + 1
    this.problems.error(value?.at ?? 0, end, code, key, shown, allowed)
  }

  /** Turns the result of a spec's parser into problems at the right places. */
  take<T>(
    key: string,
    item: Atom,
    result: SpecResult<T>,
    code: 'XT_CONFIG_SPEC' | 'XT_CONFIG_PCI' = 'XT_CONFIG_SPEC',
  ): T | undefined {
    const place = ({ at, near }: SpecFault): readonly [number, number] =>
      item.textAt < 0 ? [item.at, item.end] : [item.textAt + at, item.textAt + at + near.length]
    for (const fault of result.faults) {
      this.problems.error(...place(fault), code, key, fault.message, fault.near, fault.hint)
    }
    for (const doubt of result.warnings) {
      this.problems.warn(...place(doubt), 'XT_CONFIG_SPEC_DOUBT', key, doubt.message, doubt.near, doubt.hint)
    }
    return result.value
  }

  /** Parses every string of a list; refused ones are left out. */
  each<T>(key: string, parse: (text: string) => SpecResult<T>): Placed<T>[] {
    const items = this.settings.items(key)
    const excess = items[MOST_ITEMS]
    if (excess !== undefined) {
      this.problems.error(excess.at, excess.end, 'XT_CONFIG_TOO_MANY', key, MOST_ITEMS)
      return []
    }
    return items.flatMap((item) => {
      const spec = this.take(key, item, parse(item.text))
      return spec === undefined ? [] : [{ spec, item }]
    })
  }

  /** A number without a warning when it is something else (keys that take a number or a word). */
  quietNumber(key: string): bigint | undefined {
    const setting = this.settings.get(key)
    if (setting === undefined || setting.appended || setting.value.kind === 'list') return undefined
    const value = readNumber(setting.value.text)
    return typeof value === 'bigint' ? value : undefined
  }

  /** One of libxl's words, whatever its case. */
  word<const W extends string>(
    key: string,
    words: readonly W[],
    code: 'XT_CONFIG_VALUE' | 'XT_CONFIG_UNKNOWN_WORD' = 'XT_CONFIG_VALUE',
  ): W | undefined {
    const text = this.settings.string(key)
    if (text === undefined) return undefined
    const word = wordIn(words, text)
    if (word === undefined) this.refuse(key, words.join(', '), code)
    return word
  }

  /** A key that is accepted, though there is a better word. */
  deprecated(key: string, advice: string): void {
    const setting = this.settings.get(key)
    if (setting === undefined) return
    this.problems.warn(setting.nameAt, setting.nameAt + key.length, 'XT_CONFIG_DEPRECATED', key, advice)
  }
}
