/**
 * From the text of an xl file to a DomainConfig: `parseDomainConfig(text, sourceName, overrides)`.
 *
 * The result's `config` is plain JSON (schema.ts tells its shape); `warnings` are the places where xl would be
 * silent or goes on. A text that cannot be used throws a ConfigError (an XtError) whose `problems` hold every
 * fault with line, column and excerpt. Pure: no I/O; reading files is load.ts.
 *
 * Two steps: `readDomain` understands and judges as xl does (that is all that a dry run needs); the second step,
 * judge.ts and the schema, says what can run here.
 */
import { ConfigError } from './errors.ts'
import { checkKeys, judge } from './judge.ts'
import type { LibxlObject } from './libxl-config.ts'
import { type ConfigProblem, type ProblemCode, Problems } from './problem.ts'
import { readDevices } from './read/devices.ts'
import { readDisplay } from './read/display.ts'
import { readGeneral, readType } from './read/general.ts'
import { readPlainKeys } from './read/plain.ts'
import { readPlatform } from './read/platform.ts'
import { Reader } from './read/reader.ts'
import type { DomainConfig } from './schema.ts'
import { Settings } from './settings.ts'
import type { HostTopology } from './specs/cpus.ts'
import { parseSettings } from './xl/parser.ts'
import { Source } from './xl/source.ts'

export interface ParseOptions {
  /** Every warning is an error. */
  readonly strict?: boolean
  /** Where new ids come from; by default random ones. */
  readonly newUuid?: () => string
  /** Keys that belong to plugins: they come out in `stanzas`. */
  readonly pluginKeys?: ReadonlySet<string>
  /** The host's CPUs, for `cpus`; by default one node of as many CPUs as this machine has. */
  readonly host?: HostTopology
}

export interface ParsedDomain {
  readonly config: DomainConfig
  /** Warnings and notes, in the order of the text. */
  readonly warnings: readonly ConfigProblem[]
}

/** A configuration that can run here. */
export function parseDomainConfig(
  text: string,
  sourceName: string,
  overrides: readonly string[] = [],
  options: ParseOptions = {},
): ParsedDomain {
  const reader = read(text, sourceName, overrides, options)
  const config = judge(reader)
  if (config === undefined || reader.problems.hasErrors) throw new ConfigError(reader.problems.sorted())
  return { config, warnings: reader.problems.sorted() }
}

/** The plugins that a configuration names, whatever else is in it: they may bring keys of their own. */
export function namedPlugins(
  text: string,
  sourceName: string,
  overrides: readonly string[] = [],
): readonly string[] {
  const source = new Source(text, sourceName, overrides)
  // What is wrong is said when the text is read in earnest.
  const problems = new Problems(source, {})
  const settings = new Settings(parseSettings(source.text, problems), problems)
  if (problems.hasFaults || settings.get('plugins')?.value.kind !== 'list') return []
  return settings.items('plugins').map(({ text }) => text)
}

/** What xl makes of a configuration, whether or not it can run here: libxl's domain_config, for a dry run. */
export function readDomain(
  text: string,
  sourceName: string,
  overrides: readonly string[] = [],
  options: ParseOptions = {},
): { readonly libxl: LibxlObject; readonly warnings: readonly ConfigProblem[] } {
  const { libxl, problems } = read(text, sourceName, overrides, options)
  if (problems.hasErrors) throw new ConfigError(problems.sorted())
  return { libxl, warnings: problems.sorted() }
}

/**
 * Everything that is wrong or doubtful, errors and warnings alike: never throws for a text. After an error of syntax it
 * goes on with what could be read, and leaves out what is missing only because of the error.
 */
export function checkDomain(
  text: string,
  sourceName: string,
  overrides: readonly string[] = [],
  options: ParseOptions = {},
): readonly ConfigProblem[] {
  const source = new Source(text, sourceName, overrides)
  const problems = new Problems(source, options)
  const settings = new Settings(parseSettings(source.text, problems), problems)
  const isTorn = problems.hasFaults
  judge(readSettings(settings, options))
  if (!isTorn) return problems.sorted()
  const consequences = settings.get('type') === undefined ? [...OF_GAPS, ...OF_NO_TYPE] : OF_GAPS
  return problems.sorted().filter(({ code }) => !consequences.includes(code))
}

/** What a line that could not be read leads to. */
const OF_GAPS: readonly ProblemCode[] = ['XT_CONFIG_MISSING', 'XT_CONFIG_NO_KERNEL']
const OF_NO_TYPE: readonly ProblemCode[] = ['XT_CONFIG_GUEST_TYPE', 'XT_CONFIG_OTHER_GUEST']

function read(text: string, sourceName: string, overrides: readonly string[], options: ParseOptions): Reader {
  const source = new Source(text, sourceName, overrides)
  const problems = new Problems(source, options)
  const settings = new Settings(parseSettings(source.text, problems), problems)
  if (problems.hasFaults) throw new ConfigError(problems.sorted())
  return readSettings(settings, options)
}

function readSettings(settings: Settings, options: ParseOptions): Reader {
  const reader = new Reader(
    settings,
    options.host ?? thisHost(),
    options.newUuid ?? (() => crypto.randomUUID()),
    options.pluginKeys,
  )
  readType(reader)
  readPlainKeys(reader)
  readGeneral(reader)
  readPlatform(reader)
  readDevices(reader)
  readDisplay(reader)
  checkKeys(reader)
  return reader
}

function thisHost(): HostTopology {
  return { nodes: [Array.from({ length: navigator.hardwareConcurrency }, (_, cpu) => cpu)] }
}
