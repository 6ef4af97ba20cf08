/**
 * From the text of an xl file to a DomainConfig: `parseDomainConfig(text, sourceName, overrides)`.
 *
 * The result's `config` is plain JSON (schema.ts tells its shape); `warnings` are the places where xl would be
 * silent or goes on. A text that cannot be used throws a ConfigError (an XtError) whose `problems` hold every
 * fault with line, column and excerpt. Pure: no I/O; reading files is load.ts.
 */
import { ConfigError } from './errors.ts'
import { type ConfigProblem, Problems } from './problem.ts'
import { ACTIONS, type DomainConfig, domainSchema } from './schema.ts'
import { Settings } from './settings.ts'
import { parseDisk } from './specs/disk.ts'
import type { SpecResult } from './specs/fault.ts'
import { vdevNumber } from './specs/vdev.ts'
import type { Atom } from './xl/ast.ts'
import { parseSettings } from './xl/parser.ts'
import { Source } from './xl/source.ts'

export interface ParsedDomain {
  readonly config: DomainConfig
  readonly warnings: readonly ConfigProblem[]
}

export function parseDomainConfig(
  text: string,
  sourceName: string,
  overrides: readonly string[] = [],
  options: { readonly strict?: boolean; readonly newUuid?: () => string } = {},
): ParsedDomain {
  const source = new Source(text, sourceName, overrides)
  const problems = new Problems(source, options)
  const settings = new Settings(parseSettings(source.text, problems), problems)
  if (problems.hasErrors) throw new ConfigError(problems.sorted())
  const reader = new DomainReader(settings, problems)
  const draft = reader.read(options.newUuid ?? (() => crypto.randomUUID()))
  if (problems.hasErrors) throw new ConfigError(problems.sorted())
  return { config: domainSchema.parse(draft), warnings: problems.sorted() }
}

class DomainReader {
  readonly #settings: Settings
  readonly #problems: Problems

  constructor(settings: Settings, problems: Problems) {
    this.#settings = settings
    this.#problems = problems
  }

  read(newUuid: () => string): unknown {
    const settings = this.#settings
    const name = settings.string('name')
    if (!name) this.#problems.error(0, 0, 'XT_CONFIG_MISSING', 'name')
    const memory = this.#mebibytes('memory')
    const maxMemory = this.#mebibytes('maxmem')
    const vcpus = this.#count('vcpus') || 1
    const maxVcpus = this.#count('maxvcpus') ?? vcpus
    if (maxVcpus < vcpus) this.#value('maxvcpus', 'at least as many as vcpus')
    const type = this.#word('type', ['pvh', 'hvm', 'pv'] as const) ?? 'pv'
    const root = settings.string('root')
    const extra = settings.string('extra')
    const fromRoot = [root === undefined ? [] : [`root=${root}`], extra ?? []].flat().join(' ')
    return {
      name,
      uuid: settings.string('uuid')?.toLowerCase() ?? newUuid(),
      type,
      kernel: settings.string('kernel'),
      ramdisk: settings.string('ramdisk'),
      cmdline: settings.string('cmdline') ?? fromRoot,
      memoryKiB: memory ?? maxMemory ?? 32 * 1024,
      maxMemoryKiB: maxMemory ?? memory ?? 32 * 1024,
      vcpus,
      maxVcpus,
      onPoweroff: this.#word('on_poweroff', ACTIONS),
      onReboot: this.#word('on_reboot', ACTIONS),
      onCrash: this.#word('on_crash', ACTIONS),
      onWatchdog: this.#word('on_watchdog', ACTIONS),
      onSoftReset: this.#word('on_soft_reset', ACTIONS),
      disks: settings.items('disk').flatMap((item) => this.#disk(item)),
      cpu: this.#word('cpu', ['auto', 'software', 'kvm'] as const),
      plugins: settings.items('plugins').map((item) => item.text),
    }
  }

  #disk(item: Atom): readonly unknown[] {
    const disk = this.#spec('disk', item, parseDisk(item.text))
    if (disk === undefined) return []
    const number = vdevNumber(disk.vdev ?? '')
    if (number === undefined) {
      this.#problems.error(item.at, item.end, 'XT_CONFIG_SPEC', 'disk', 'unknown disk name', disk.vdev ?? '')
      return []
    }
    return [{ ...disk, vdevNumber: number.number }]
  }

  #spec<T>(key: string, item: Atom, result: SpecResult<T>): T | undefined {
    const place = (fault: { at: number }) => (item.textAt < 0 ? item.at : item.textAt + fault.at)
    for (const fault of result.faults) {
      const at = place(fault)
      this.#problems.error(
        at,
        at + fault.near.length,
        'XT_CONFIG_SPEC',
        key,
        fault.message,
        fault.near,
        fault.hint,
      )
    }
    for (const doubt of result.warnings) {
      const at = place(doubt)
      this.#problems.warn(
        at,
        at + doubt.near.length,
        'XT_CONFIG_SPEC_DOUBT',
        key,
        doubt.message,
        doubt.near,
        doubt.hint,
      )
    }
    return result.value
  }

  #mebibytes(key: string): number | undefined {
    const mebibytes = this.#count(key)
    return mebibytes === undefined ? undefined : mebibytes * 1024
  }

  #count(key: string): number | undefined {
    const value = this.#settings.number(key)
    if (value === undefined) return undefined
    if (value >= 0n && value < 2n ** 40n) return Number(value)
    this.#value(key, 'a number from 0 to 2^40')
    return undefined
  }

  #word<const W extends string>(key: string, words: readonly W[]): W | undefined {
    const text = this.#settings.string(key)
    if (text === undefined) return undefined
    const word = words.find((known) => known === text)
    if (word === undefined) this.#value(key, words.join(', '))
    return word
  }

  #value(key: string, allowed: string): void {
    const value = this.#settings.get(key)!.value
    this.#problems.error(
      value.at,
      value.end,
      'XT_CONFIG_VALUE',
      key,
      value.kind === 'atom' ? value.text : '[...]',
      allowed,
    )
  }
}
