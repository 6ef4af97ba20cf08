/** The words of a disk spec on a command line, and names of disks: what block-attach and its kin have in common. */
import { resolve } from 'node:path'
import { libxlDisk } from '../config/read/libxl-devices.ts'
import { type DiskConfig, diskSchema } from '../config/schema.ts'
import { parseDisk } from '../config/specs/disk.ts'
import { vdevNumber } from '../config/specs/vdev.ts'
import { arrange, printJson } from '../config/xl-json.ts'
import { cliErrors } from './errors.ts'

export interface DiskArguments {
  readonly disk: DiskConfig
  /** The same as libxl has it. */
  readonly libxl: ReturnType<typeof libxlDisk>
}

/** All words together describe one disk. Throws XT_DISK_SPEC, XT_DISK_NAME. */
export function readDisk(words: readonly string[]): DiskArguments {
  const { value: spec, faults } = parseDisk(...words)
  const [fault] = faults
  if (fault !== undefined) throw cliErrors.XT_DISK_SPEC(fault, words.join(' '))
  if (spec!.target && spec!.script === undefined) spec!.target = absolute(spec!.target)
  const { colo, coloHost, coloPort, coloExport, activeDisk, hiddenDisk, ...disk } = spec!
  const number = numberOf(disk.vdev ?? '')
  return { disk: diskSchema.parse({ ...disk, vdevNumber: number }), libxl: libxlDisk(spec!) }
}

/** The domain's process lives elsewhere: a path is taken from here. What is no path stays (src/plugins/vbd/source.ts). */
function absolute(target: string): string {
  if (/^(?:nbd:|[a-z+]+:\/\/)/.test(target)) return target
  const [, prefix = '', path = target] = /^((?:vhdx|vmdk|vdi):)(.*)$/s.exec(target) ?? []
  return prefix + resolve(path)
}

/** The number of a disk by its name, or by itself. Throws XT_DISK_NAME. */
export function numberOf(vdev: string): number {
  const number = vdev === '' ? undefined : vdevNumber(vdev)?.number
  if (number === undefined) throw cliErrors.XT_DISK_NAME(vdev)
  return number
}

/** What `xl -N block-attach` prints. */
export const printDisk = (libxl: DiskArguments['libxl']): string =>
  `disk: ${printJson(arrange(libxl, 'disk'))}\n\n`
