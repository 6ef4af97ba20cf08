/**
 * What `xt info` and `xt vcpu-list` say of the machine and of the Xen that guests see on it: xl's fields in xl's
 * order. What only a hypervisor that was compiled and booted has (build date, command line) is empty.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism, cpus, freemem, hostname, machine, release, totalmem, version } from 'node:os'
import { PAGE_SIZE } from '../base/machine-memory.ts'
import { CAPABILITIES, EXTRAVERSION, XEN_MAJOR, XEN_MINOR } from '../xen/hypercall/xen_version.ts'
import { SCHEDULER } from './scheduler.ts'

export type InfoField = readonly [name: string, value: string | number]

/** The fields of `xl info`; the topology of `-n` goes before `xen_major`. `xtVersion` stands for the changeset. */
export function hostInfo(xtVersion: string): readonly InfoField[] {
  const processors = cpus()
  const { cores, sockets } = topology()
  const threads = Math.max(1, processors.length)
  const mib = (bytes: number) => Math.floor(bytes / 1048576)
  return [
    ['host', hostname()],
    ['release', release()],
    ['version', version()],
    ['machine', machine()],
    ['nr_cpus', threads],
    ['max_cpu_id', threads - 1],
    ['nr_nodes', 1],
    ['cores_per_socket', Math.max(1, Math.round(cores / sockets))],
    ['threads_per_core', Math.max(1, Math.round(threads / cores))],
    ['cpu_mhz', (processors[0]?.speed ?? 0).toFixed(3)],
    ['hw_caps', ''],
    ['virt_caps', 'hvm gnttab-v1'],
    ['total_memory', mib(totalmem())],
    ['free_memory', mib(freemem())],
    ['sharing_freed_memory', 0],
    ['sharing_used_memory', 0],
    ['outstanding_claims', 0],
    // CPUs that are in no pool.
    ['free_cpus', Math.max(0, threads - availableParallelism())],
    ['xen_major', XEN_MAJOR],
    ['xen_minor', XEN_MINOR],
    ['xen_extra', EXTRAVERSION],
    ['xen_version', `${XEN_MAJOR}.${XEN_MINOR}${EXTRAVERSION}`],
    ['xen_caps', CAPABILITIES],
    ['xen_scheduler', SCHEDULER.sched],
    ['xen_pagesize', PAGE_SIZE],
    ['platform_params', 'virt_start=0xffff800000000000'],
    ['xen_changeset', `xt-${xtVersion}`],
    ['xen_commandline', ''],
    ['cc_compiler', `TypeScript (Node ${process.version})`],
    ['cc_compile_by', 'xt'],
    ['cc_compile_domain', ''],
    ['cc_compile_date', ''],
    ['build_id', ''],
    ['xend_config_format', 4],
  ]
}

/** Of each CPU its core, socket and node, as `info -n` lists them. */
export function cpuTopology(): readonly { readonly core: number; readonly socket: number }[] {
  return cpus().map((_, cpu) => {
    const read = (name: string) => {
      try {
        return Math.max(0, Number(readFileSync(`/sys/devices/system/cpu/cpu${cpu}/topology/${name}`, 'utf8')))
      } catch {
        return undefined
      }
    }
    return { core: read('core_id') ?? cpu, socket: read('physical_package_id') ?? 0 }
  })
}

function topology(): { readonly cores: number; readonly sockets: number } {
  const all = cpuTopology()
  const count = (key: (each: (typeof all)[number]) => string) => Math.max(1, new Set(all.map(key)).size)
  return {
    cores: count(({ core, socket }) => `${socket}.${core}`),
    sockets: count(({ socket }) => `${socket}`),
  }
}

/** Place of `processor` among the fields of /proc/PID/stat behind the command's name (proc(5), field 39). */
const STAT_PROCESSOR = 36

/** The host CPU on which each vCPU of a domain process ran last: its threads are called vcpu0, vcpu1 ... */
export function hostCpuOfVcpus(pid: number): ReadonlyMap<number, number> {
  const found = new Map<number, number>()
  try {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8')
      const vcpu = /\(vcpu(\d+)\)/.exec(stat)
      if (vcpu === null) continue
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      found.set(Number(vcpu[1]), Number(fields[STAT_PROCESSOR]))
    }
  } catch {
    // The process or one of its threads ended meanwhile.
  }
  return found
}
