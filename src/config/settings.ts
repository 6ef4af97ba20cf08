/**
 * Typed reading of settings, with xl's rules: what cannot be read as the type its key wants is warned about and
 * treated as absent. Pure; problems go where the settings came from.
 */
import type { Problems } from './problem.ts'
import type { Atom, List, Setting } from './xl/ast.ts'
import { readNumber } from './xl/number.ts'

export class Settings {
  readonly problems: Problems
  readonly #settings: ReadonlyMap<string, Setting>

  constructor(settings: ReadonlyMap<string, Setting>, problems: Problems) {
    this.#settings = settings
    this.problems = problems
  }

  get(key: string): Setting | undefined {
    return this.#settings.get(key)
  }

  all(): Iterable<Setting> {
    return this.#settings.values()
  }

  /** The setting's value if it is a single one. */
  atom(key: string): Atom | undefined {
    const value = this.#settings.get(key)?.value
    if (value === undefined || value.kind === 'atom') return value
    this.problems.warn(value.at, value.at + 1, 'XT_CONFIG_LIST_FOR_VALUE', key)
    return undefined
  }

  string(key: string): string | undefined {
    return this.atom(key)?.text
  }

  number(key: string): bigint | undefined {
    const atom = this.atom(key)
    if (atom === undefined) return undefined
    if (this.#settings.get(key)!.appended) {
      this.problems.warn(atom.at, atom.end, 'XT_CONFIG_APPENDED_NUMBER', key)
      return undefined
    }
    const value = readNumber(atom.text)
    if (typeof value === 'bigint') return value
    if (value === 'out of range') this.problems.warn(atom.at, atom.end, 'XT_CONFIG_NUMBER_RANGE', key)
    else this.problems.warn(atom.at, atom.end, 'XT_CONFIG_NOT_A_NUMBER', key, atom.text)
    return undefined
  }

  /** Not 0 is true, as in xl. */
  boolean(key: string): boolean | undefined {
    const value = this.number(key)
    return value === undefined ? undefined : value !== 0n
  }

  list(key: string): List | undefined {
    const value = this.#settings.get(key)?.value
    if (value === undefined || value.kind === 'list') return value
    this.problems.warn(value.at, value.end, 'XT_CONFIG_VALUE_FOR_LIST', key)
    return undefined
  }

  /**
   * The strings of a list. XEN: a list inside ends it, for xl in silence; here with a warning.
   */
  items(key: string): readonly Atom[] {
    const items: Atom[] = []
    for (const item of this.list(key)?.items ?? []) {
      if (item.kind === 'list') {
        this.problems.warn(item.at, item.at + 1, 'XT_CONFIG_LIST_CUT_SHORT', key)
        break
      }
      items.push(item)
    }
    return items
  }
}
