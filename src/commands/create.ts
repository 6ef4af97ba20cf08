import { resolve } from 'node:path'
import { boolean, string } from '@oclif/core/flags'
import { XtCommand } from '../cli/command.ts'
import { runConsole } from '../cli/console-session.ts'
import { readCreateArguments } from '../cli/create-arguments.ts'
import { cliErrors } from '../cli/errors.ts'
import { type EscapeKey, parseEscapeKey } from '../cli/escape-key.ts'
import { followDomain } from '../cli/foreground.ts'
import { ProgressLine } from '../cli/progress.ts'
import { writeProblems } from '../cli/write-problems.ts'
import { namedPlugins, parseDomainConfig, readDomain } from '../config/domain.ts'
import type { LibxlObject } from '../config/libxl-config.ts'
import { loadXtSettings, readConfigFile } from '../config/load.ts'
import type { ConfigProblem } from '../config/problem.ts'
import type { DomainConfig } from '../config/schema.ts'
import { printDomain, printJson } from '../config/xl-json.ts'
import type { XtSettings } from '../config/xt-settings.ts'
import { connectDomain } from '../engine/domains.ts'
import { type LaunchedDomain, launchDomain } from '../engine/launch.ts'
import { pluginKeys } from '../engine/plugin-keys.ts'

interface Attendance {
  readonly paused: boolean
  readonly console: boolean
  readonly foreground: boolean
}

interface Created {
  readonly domid: number
  readonly name: string
}

export default class Create extends XtCommand {
  static override summary = 'Create a domain from a configuration file.'
  static override description = `Returns when the guest runs; the domain lives on in a process of its own.
Settings on the command line (key=value) are read as if they stood at the end of the file.`
  static override usage = 'create [FILE] [key=value ...] [options]'
  static override strict = false
  static override flags = {
    console: boolean({ char: 'c', summary: 'Attach to the console, from its first byte on.' }),
    paused: boolean({ char: 'p', summary: 'Leave the domain paused: complete, but not started.' }),
    foreground: boolean({ char: 'F', summary: 'Stay until the domain is gone and say what happens to it.' }),
    'no-monitor': boolean({ char: 'e', summary: 'Carry out no on_* action: an ended guest stays listed.' }),
    quiet: boolean({ char: 'q', summary: 'Say nothing about the creation but errors.' }),
    dryrun: boolean({
      char: 'n',
      summary: "Only show the configuration, as libxl's JSON (also: xt -N create).",
    }),
    defconfig: string({ char: 'f', helpValue: 'FILE', summary: 'The configuration file.' }),
    strict: boolean({ summary: 'Take warnings about the configuration for errors.' }),
    'cpu-trace': string({
      helpValue: 'FILE',
      summary:
        'Write every taken branch with a hash of the registers to a file; the guest is much slower then.',
    }),
    debug: boolean({ char: 'd', summary: 'Also print the configuration that was read.' }),
    vncviewer: boolean({ char: 'V', summary: "Accepted as xl's: guests have no display to view yet." }),
    'vncviewer-autopass': boolean({ char: 'A', summary: "Accepted as xl's, as -V." }),
    'ignore-global-affinity-masks': boolean({
      char: 'i',
      summary: "Accepted as xl's: there are no such masks.",
    }),
  }
  static override examples = [
    '<%= config.bin %> create -c examples/hello.cfg',
    '<%= config.bin %> create guest.cfg memory=512 \'name="second"\'',
  ]

  async run(): Promise<Created | object> {
    const { argv, flags } = await this.parse(Create)
    const { file, settings: words, passedOver } = readCreateArguments(argv as string[], flags.defconfig)
    const warn = (problems: readonly ConfigProblem[]) => {
      if (!flags.quiet) writeProblems(problems)
    }
    const settings = await loadXtSettings()
    const strict = flags.strict || settings.strict
    const text = await readConfigFile(file)
    if (!flags.quiet) this.note(`Parsing config from ${file}`)
    if (passedOver !== undefined) this.note(`${passedOver} is not read: -f names another file.`)
    const plugins = await pluginKeys([...settings.plugins, ...namedPlugins(text, file, words)])
    const reading = { strict, pluginKeys: plugins.keys }
    if (flags.dryrun) {
      const { libxl, warnings } = readDomain(text, file, words, reading)
      warn(warnings)
      if (!this.jsonEnabled()) process.stdout.write(printDomain(libxl))
      return JSON.parse(printDomain(libxl))
    }
    const { config, warnings } = parseDomainConfig(text, file, words, reading)
    warn(warnings)
    if ((flags.vncviewer || flags['vncviewer-autopass']) && !flags.quiet)
      this.note('-V and -A have no effect: guests have no display to view yet.')
    if (flags.debug) this.note(printJson(config.libxl as LibxlObject))
    const complete = withDefaults(config, settings, plugins.neededFor(Object.keys(config.stanzas)))
    const domain = await this.#launch(complete, settings, flags)
    if (flags.console || flags.foreground) await this.#stay(domain, flags, parseEscapeKey(settings.escapeKey))
    return { domid: domain.domid, name: domain.name }
  }

  /** Ctrl-C or another signal to end takes back what was begun. */
  async #launch(
    config: DomainConfig,
    settings: XtSettings,
    flags: Attendance & { quiet: boolean; 'no-monitor': boolean; 'cpu-trace'?: string | undefined },
  ): Promise<LaunchedDomain> {
    using line = new ProgressLine(process.stderr, !flags.quiet)
    const stop = new AbortController()
    const abort = (signal: NodeJS.Signals) => stop.abort(signal)
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, abort)
    line.show(`Creating ${config.name} ...`)
    try {
      return await launchDomain(config, {
        paths: this.paths,
        // Whoever stays sees the guest from its first instruction on: it waits until they are there.
        paused: flags.paused || flags.console || flags.foreground,
        monitor: !flags['no-monitor'],
        pluginSettings: withCpuTrace(settings.pluginConfig, flags['cpu-trace']),
        signal: stop.signal,
        onProgress: (text) => line.show(`Creating ${config.name}: ${text}`),
      })
    } catch (error) {
      throw stop.signal.aborted ? cliErrors.XT_CREATE_STOPPED(config.name) : error
    } finally {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, abort)
    }
  }

  async #stay(domain: LaunchedDomain, flags: Attendance, escapeKey: EscapeKey): Promise<void> {
    const start = async (): Promise<void> => {
      if (flags.paused) return
      using client = await connectDomain(domain)
      await client.unpause()
    }
    if (!flags.foreground) {
      if (flags.console) await runConsole(domain, { escapeKey, onAttached: start })
      return
    }
    // While the console has the terminal, lines about the domain wait.
    const held: string[] = []
    let isHeld = flags.console
    const following = await followDomain(this.paths, domain, (line) =>
      isHeld ? void held.push(line) : this.note(line),
    )
    if (flags.console) await runConsole(domain, { escapeKey, onAttached: start })
    else await start()
    isHeld = false
    for (const line of held) this.note(line)
    await following.gone
  }
}

/** The settings of plugins with the file of --cpu-trace, which is named from where the command was started. */
function withCpuTrace(
  settings: XtSettings['pluginConfig'],
  file: string | undefined,
): XtSettings['pluginConfig'] {
  if (file === undefined) return settings
  const cpu = settings['cpu-software'] ?? {}
  const trace = (cpu['trace'] ?? {}) as Record<string, never>
  return { ...settings, 'cpu-software': { ...cpu, trace: { ...trace, file: resolve(file) } } }
}

/** What xt's own settings say for guests that say nothing, and the installed plugins whose keys it uses. */
const withDefaults = (
  config: DomainConfig,
  { cpu, plugins, bridge }: XtSettings,
  installed: readonly string[],
): DomainConfig => ({
  ...config,
  cpu: config.cpu === 'auto' ? cpu : config.cpu,
  plugins: [...plugins, ...config.plugins, ...installed],
  vifs: config.vifs.map((vif) =>
    bridge === undefined || vif.bridge !== undefined ? vif : { ...vif, bridge },
  ),
})
