/** Runs a case's input through xt's own code: one function per kind. */
import { parse } from '@oclif/core/parser'
import { readCreateArguments } from '../../src/cli/create-arguments.ts'
import { toXtError } from '../../src/cli/report.ts'
import Create from '../../src/commands/create.ts'
import { readDomain } from '../../src/config/domain.ts'
import { ConfigError, configErrors } from '../../src/config/errors.ts'
import type { LibxlObject, LibxlValue } from '../../src/config/libxl-config.ts'
import { decodeText } from '../../src/config/load.ts'
import { Problems } from '../../src/config/problem.ts'
import { libxlNic } from '../../src/config/read/libxl-devices.ts'
import { Settings } from '../../src/config/settings.ts'
import { type HostTopology, hostCpus, parseCpus, printCpus } from '../../src/config/specs/cpus.ts'
import { type DiskSpec, parseDisk } from '../../src/config/specs/disk.ts'
import type { SpecResult } from '../../src/config/specs/fault.ts'
import { parsePci, parseRdm } from '../../src/config/specs/pci.ts'
import { parseRate } from '../../src/config/specs/rate.ts'
import { parseMemorySize } from '../../src/config/specs/size.ts'
import { vdevNumber } from '../../src/config/specs/vdev.ts'
import { parseVif, parseVifArguments } from '../../src/config/specs/vif.ts'
import type { Value } from '../../src/config/xl/ast.ts'
import { parseSettings } from '../../src/config/xl/parser.ts'
import { Source } from '../../src/config/xl/source.ts'
import { arrange } from '../../src/config/xl-json.ts'
import { type Case, inputText, type Kind, type Outcome } from './case.ts'
import { runXl } from './run-xl.ts'

/** The host on which the cases were made: 8 CPUs in two nodes. */
const HOST: HostTopology = {
  nodes: [
    [0, 1, 2, 3],
    [4, 5, 6, 7],
  ],
}
const SOURCE = 'test.cfg'

export async function runCase(test: Case): Promise<Outcome> {
  return await RUNNERS[test.kind](test)
}

const RUNNERS: Readonly<Record<Kind, (test: Case) => Outcome | Promise<Outcome>>> = {
  cfg: runCfg,
  domain: runDomain,
  disk: ({ input }) => spec(parseDisk(...([input].flat() as string[])), disk),
  rate: ({ input }) =>
    spec(parseRate(String(input)), (rate) => ({
      rate_bytes_per_interval: String(rate.bytesPerInterval),
      rate_interval_usecs: rate.intervalUs,
    })),
  pci: ({ input }) => spec(parsePci(String(input)), pci),
  rdm: ({ input }) => spec(parseRdm(String(input)), (rdm) => rdm),
  vif: ({ input }) => spec(parseVif(String(input)), (vif) => arrange(libxlNic({ devid: 0, ...vif }), 'nic')),
  'vif-attach': ({ input }) =>
    spec(parseVifArguments(input as string[]), (vif) => arrange(libxlNic(vif), 'nic')),
  cpus: runCpus,
  vdev: ({ input }) => {
    const vdev = vdevNumber(String(input))
    const parsed = { number: vdev?.number, disk: vdev?.disk ?? null, partition: vdev?.partition ?? null }
    return vdev === undefined ? refused('no disk name') : { ok: true, parsed, codes: [] }
  },
  mem: ({ input }) => {
    const kib = parseMemorySize(String(input))
    if (kib === undefined) return refused('no size')
    // What libxl is asked for has no sign.
    return { ok: true, parsed: { kib: String(BigInt.asUintN(64, kib)) }, codes: [] }
  },
  xl: runXl,
}

const refused = (error: string): Outcome => ({ ok: false, codes: [], error })

function spec<T>({ value, faults }: SpecResult<T>, print: (value: T) => unknown): Outcome {
  if (value === undefined)
    return refused(faults.map(({ message, near }) => `${message}: near \`${near}'`).join('; '))
  return { ok: true, parsed: print(value), codes: [] }
}

function runCfg(test: Case): Outcome {
  const source = new Source(inputText(test, decodeText), SOURCE)
  const problems = new Problems(source)
  const settings = parseSettings(source.text, problems)
  const codes = problems.list.map(({ code }) => code)
  if (problems.hasErrors) {
    const first = problems.sorted().find(({ severity }) => severity === 'error')!
    return { ok: false, codes, error: first.message, fault: { line: first.line, near: first.near } }
  }
  const all = [...settings.values()]
  const table = (entry: (setting: (typeof all)[number]) => unknown) =>
    Object.fromEntries(all.map((setting) => [setting.name, entry(setting)]))
  return {
    ok: true,
    codes,
    parsed: {
      values: table(({ value }) => plain(value)),
      lines: table(({ value }) => source.locate(value.at).line),
      numbers: table(({ name }) => asNumber(new Settings(settings, new Problems(source)), name)),
    },
  }
}

const plain = (value: Value): unknown => (value.kind === 'atom' ? value.text : value.items.map(plain))

function asNumber(settings: Settings, name: string): unknown {
  const value = settings.number(name)
  if (value !== undefined) return { value: String(value) }
  return { errno: settings.problems.list[0]?.code === 'XT_CONFIG_NUMBER_RANGE' ? 'ERANGE' : 'EINVAL' }
}

/** The case's further arguments are read as `create` reads its own, options and all. */
async function runDomain(test: Case): Promise<Outcome> {
  const { cfg, args } =
    typeof test.input === 'object'
      ? (test.input as { cfg: string; args: string[] })
      : { cfg: inputText(test, decodeText), args: [] }
  try {
    const { argv, flags } = await parse([SOURCE, ...args], { flags: Create.flags, strict: false })
    const { file, settings } = readCreateArguments(argv as string[], flags['defconfig'] as string | undefined)
    // There is no other file: `create` fails to read it.
    if (file !== SOURCE) throw configErrors.XT_CONFIG_FILE(file, 'No such file or directory')
    const { libxl, warnings } = readDomain(cfg, SOURCE, settings, { host: HOST })
    return {
      ok: true,
      exit: 0,
      parsed: arrange(libxl, 'domain_config'),
      codes: warnings.map(({ code }) => code),
    }
  } catch (thrown) {
    const error = toXtError(thrown, 'create')
    if (error.code === 'XT_INTERNAL') throw thrown
    const codes = error instanceof ConfigError ? error.problems.map(({ code }) => code) : [error.code]
    return { ok: false, exit: error.exit, error: error.message, codes }
  }
}

function runCpus({ input }: Case): Outcome {
  const printed: string[] = []
  for (const text of [input].flat() as string[]) {
    const { value, faults } = parseCpus(text, HOST)
    if (text === '-') printed.push('-')
    else if (value === undefined) return refused(faults[0]!.message)
    else printed.push(printCpus(value, hostCpus(HOST)))
  }
  return { ok: true, parsed: printed.join(' ').replace(/ -$/, ''), codes: [] }
}

const DISK_FIELDS = [
  'target',
  'vdev',
  'format',
  'backendtype',
  'backend',
  'script',
  'readwrite',
  'removable',
  'cdrom',
  'direct_io_safe',
  'discard',
  'trusted',
  'colo',
  'specification',
  'colo_host',
  'colo_port',
  'colo_export',
  'active_disk',
  'hidden_disk',
] as const
/** What the cases say of a field that was not given, where that is not null. */
const DISK_UNSET: Readonly<Record<string, unknown>> = {
  backendtype: 'unknown',
  specification: 'unknown',
  discard: 'default',
  trusted: 'default',
  colo: 'default',
  colo_port: 0,
}
const DISK_WORDS: ReadonlySet<string> = new Set(['discard', 'trusted', 'colo'])

function disk(parsed: DiskSpec): unknown {
  const member = (name: string) =>
    parsed[name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()) as keyof DiskSpec]
  return Object.fromEntries(
    DISK_FIELDS.map((name) => {
      const value = member(name) ?? DISK_UNSET[name] ?? null
      return [name, DISK_WORDS.has(name) ? String(value) : value]
    }),
  )
}

function pci(parsed: LibxlObject): LibxlObject {
  const flag = (name: string): LibxlValue => parsed[name] ?? false
  return {
    domain: parsed['domain'] ?? 0,
    bus: parsed['bus'] ?? 0,
    dev: parsed['dev'] ?? 0,
    func: parsed['func'] ?? 0,
    all_functions: parsed['vfunc_mask'] === 0xffffffff,
    vdevfn: parsed['vdevfn'] ?? 0,
    permissive: flag('permissive'),
    msitranslate: flag('msitranslate'),
    seize: flag('seize'),
    power_mgmt: flag('power_mgmt'),
    rdm_policy: parsed['rdm_policy'] ?? 'invalid',
    name: parsed['name'] ?? (null as unknown as LibxlValue),
  }
}
