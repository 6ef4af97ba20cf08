/** The options of a network interface on a command line: one word for each. */
import { libxlNic } from '../config/read/libxl-devices.ts'
import type { VifConfig } from '../config/schema.ts'
import { parseVifArguments } from '../config/specs/vif.ts'
import { arrange, printJson } from '../config/xl-json.ts'
import { cliErrors } from './errors.ts'

export interface VifArguments {
  /** Without what the domain process chooses: the next free number, an address. */
  readonly vif: Partial<VifConfig>
  /** The same as libxl has it. */
  readonly libxl: ReturnType<typeof libxlNic>
}

/** Throws XT_VIF_OPTION. */
export function readVif(words: readonly string[]): VifArguments {
  const { value: spec, faults } = parseVifArguments(words)
  const [fault] = faults
  if (fault !== undefined) throw cliErrors.XT_VIF_OPTION(fault)
  const { colo, rateBytesPerInterval: rate, rateIntervalUs, ...vif } = spec!
  const limit = rate ? { rateBytesPerInterval: Number(rate), rateIntervalUs: rateIntervalUs ?? 0 } : {}
  return { vif: { ...vif, ...limit }, libxl: libxlNic(spec!) }
}

/** libxl's form as plain JSON, for the domain process. */
export const plainVif = (libxl: VifArguments['libxl']): object =>
  JSON.parse(JSON.stringify(libxl, (_, value) => (typeof value === 'bigint' ? Number(value) : value)))

/** What `xl -N network-attach` prints. */
export const printVif = (libxl: VifArguments['libxl']): string =>
  `vif: ${printJson(arrange(libxl, 'nic'))}\n\n`
