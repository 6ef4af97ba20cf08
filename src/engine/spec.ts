/**
 * What the engine needs to know to run one domain: the contract between the configuration (which makes it) and
 * the domain process (which gets it as JSON).
 */

/** What can be done about a guest that ended (xl's words). */
export const END_ACTIONS = [
  'destroy',
  'restart',
  'rename-restart',
  'preserve',
  'coredump-destroy',
  'coredump-restart',
  'soft-reset',
] as const
export type EndAction = (typeof END_ACTIONS)[number]

export interface DomainSpec {
  readonly name: string
  /** With dashes, lower case. */
  readonly uuid: string
  /** Paths are taken from the directory in which `xt create` ran. */
  readonly kernel: string
  readonly ramdisk?: string
  readonly cmdline: string
  readonly memoryMiB: number
  readonly vcpus: number
  readonly maxVcpus: number
  readonly onPoweroff: EndAction
  readonly onReboot: EndAction
  readonly onCrash: EndAction
  readonly onWatchdog: EndAction
  readonly onSoftReset: EndAction
  /** Which cpu plugin: 'software' ... the plugin's name is `cpu-` and this. */
  readonly cpu: string
  /** Plugins besides the builtin ones: package names or paths. */
  readonly plugins: readonly string[]
  /** Settings by plugin name; a plugin that is not named here gets `{}`. */
  readonly pluginSettings: Readonly<Record<string, unknown>>
  /** The whole parsed configuration: plugins read their devices from it, `xt list -l` prints it. */
  readonly config: Readonly<Record<string, unknown>>
}
