/**
 * Domain-0 as `xt-xl` lists it. XEN: there is no such domain here, the host is what it is; but programs that drive
 * xl (Ganeti above all) reckon with its row. `xt` itself does not show it.
 */
import { cpus, freemem, totalmem, uptime } from 'node:os'
import type { LibxlObject } from '../config/libxl-config.ts'
import type { DomainInfo } from '../engine/control.ts'
import { SCHEDULER } from '../engine/scheduler.ts'

export const HOST_NAME = 'Domain-0'
const NO_UUID = '00000000-0000-0000-0000-000000000000'

export const namesHost = (nameOrDomid: string | undefined): boolean =>
  nameOrDomid === '0' || nameOrDomid === HOST_NAME

/** The host: its memory in use without that of the guests, its CPUs, each with the seconds it was busy. */
export function hostDomain(guestsMiB: number): DomainInfo {
  const memoryMiB = Math.max(1, Math.floor((totalmem() - freemem()) / 2 ** 20 - guestsMiB))
  return {
    domid: 0,
    name: HOST_NAME,
    uuid: NO_UUID,
    pid: process.pid,
    state: 'running',
    pauseCount: 0,
    memoryMiB,
    vcpus: cpus().map(({ times }, index) => ({
      index,
      state: 'running',
      ranNs: (times.user + times.nice + times.sys + times.irq) * 1e6,
    })),
    createdMs: Date.now() - uptime() * 1000,
    waitingFor: [],
    missingCalls: [],
    log: '',
    config: { libxl: hostConfig(memoryMiB * 1024) } as unknown as DomainInfo['config'],
  }
}

/** What `xl list -l` says of domain 0. */
function hostConfig(memkb: number): LibxlObject {
  return {
    c_info: { type: 'pv', name: HOST_NAME },
    b_info: {
      max_memkb: memkb,
      target_memkb: memkb - 1,
      sched_params: { ...SCHEDULER },
      'type.pv': {},
      arch_arm: {},
      arch_x86: {},
    },
  }
}
