/** `xt list -l`: a domain's configuration as `xl list -l` prints it, which is what `create -N` prints and some more. Pure. */
import type { LibxlObject } from '../config/libxl-config.ts'
import { STRUCTURES } from '../config/libxl-layout.ts'
import type { DomainInfo } from '../engine/control.ts'
import { SCHEDULER } from '../engine/scheduler.ts'

/** XEN: the number with which a domain was asked for; "any" is -1 in 32 bits. */
const ANY_DOMID = 0xffffffff

export function longEntry({
  domid,
  name,
  config,
}: Pick<DomainInfo, 'domid' | 'name' | 'config'>): LibxlObject {
  // XEN: of domain 0 there is no stored configuration, only what the hypervisor knows.
  if (domid === 0) return { domid, config: config.libxl as LibxlObject }
  const { c_info, b_info, ...rest } = config.libxl as Readonly<Record<string, LibxlObject>>
  const { arch_x86 } = (b_info ?? {}) as Readonly<Record<string, LibxlObject>>
  return {
    domid,
    config: {
      c_info: inOrder({ ...c_info, name, domid: ANY_DOMID }, 'create_info'),
      b_info: inOrder(
        {
          ...b_info,
          video_memkb: 0,
          sched_params: { ...SCHEDULER },
          arch_x86: { msr_relaxed: 'False', ...arch_x86 },
        },
        'build_info',
      ),
      ...rest,
    },
  }
}

/** Fields in libxl's order. */
function inOrder(object: LibxlObject, structure: string): LibxlObject {
  const order = STRUCTURES[structure]!.map(([name]) => name)
  const entries = Object.entries(object).sort(([a], [b]) => order.indexOf(a) - order.indexOf(b))
  return Object.fromEntries(entries)
}
