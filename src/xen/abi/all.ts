/** Every structure of Xen's headers that is declared here, by header: for documents, the C probe and tests. */
import * as startInfo from './arch-x86/hvm/start_info.ts'
import * as eventChannel from './event_channel.ts'
import * as grantTable from './grant_table.ts'
import * as hvmOp from './hvm/hvm_op.ts'
import * as hvmVcpu from './hvm/hvm_vcpu.ts'
import * as ioBlkif from './io/blkif.ts'
import * as ioConsole from './io/console.ts'
import * as ioNetif from './io/netif.ts'
import * as xsWire from './io/xs_wire.ts'
import * as memory from './memory.ts'
import * as sched from './sched.ts'
import type { Fields, Struct } from './struct.ts'
import * as vcpu from './vcpu.ts'
import * as version from './version.ts'
import * as xen from './xen.ts'

const isStruct = (value: unknown): value is Struct<Fields> =>
  typeof value === 'object' && value !== null && 'rows' in value && 'ctype' in value

/** Structures with a header in Xen, in the order of their declarations. */
export const XEN_STRUCTS: readonly Struct<Fields>[] = [
  xen,
  eventChannel,
  grantTable,
  memory,
  vcpu,
  sched,
  version,
  hvmOp,
  hvmVcpu,
  startInfo,
  ioBlkif,
  ioConsole,
  ioNetif,
  xsWire,
].flatMap((module) =>
  Object.values(module as Readonly<Record<string, unknown>>)
    .filter(isStruct)
    .filter((s) => s.header !== ''),
)

/** Sizes and offsets of one structure for one ABI, as the golden file keeps them. */
export function numbersOf(type: Struct<Fields>, abi: 64 | 32): Record<string, number> {
  const out: Record<string, number> = { sizeof: type.for(abi).size }
  for (const row of type.rows()) {
    const [first, ...rest] = row.path.split('.')
    const path = [type.cnames[first!] ?? first!, ...rest].join('.')
    out[path] = abi === 64 ? row.offset64 : row.offset32
  }
  return out
}

/** C's name of a structure with its ABI: a key of the golden file. */
export const keyOf = (type: Struct<Fields>, abi: 64 | 32): string => `${type.ctype} ${abi}`
