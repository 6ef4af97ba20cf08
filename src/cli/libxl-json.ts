/**
 * A domain's configuration in the words of libxl's JSON, as `xl -N create` and `xl list -l` print it. Pure.
 * Defaults are left out, as there; what only xt has (cpu, plugins) is not part of it.
 */
import type { ChannelConfig, DiskConfig, DomainConfig, VifConfig } from '../config/schema.ts'

type Json = Readonly<Record<string, unknown>>

/** libxl's words for what happens to a guest that ended. */
const ACTION: Readonly<Record<string, string>> = {
  'rename-restart': 'restart_rename',
  'coredump-destroy': 'coredump_destroy',
  'coredump-restart': 'coredump_restart',
  'soft-reset': 'soft_reset',
}

export function libxlJson(config: DomainConfig): Json {
  const { type, name, uuid, maxVcpus, vcpus, maxMemoryKiB, memoryKiB, kernel, cmdline, ramdisk } = config
  return without({
    c_info: { type, name, uuid, run_hotplug_scripts: 'True' },
    b_info: without({
      max_vcpus: maxVcpus === 1 ? undefined : maxVcpus,
      avail_vcpus: maxVcpus === 1 ? undefined : Array.from({ length: vcpus }, (_, vcpu) => vcpu),
      max_memkb: maxMemoryKiB,
      target_memkb: memoryKiB,
      sched_params: {},
      claim_mode: 'True',
      kernel,
      cmdline: cmdline === '' ? undefined : cmdline,
      ramdisk,
      [`type.${type}`]: {},
      arch_arm: {},
      arch_x86: {},
    }),
    disks: some(config.disks.map(disk)),
    nics: some(config.vifs.map(nic)),
    p9s: some(
      config.p9.map(({ devid, tag, path, securityModel }) => ({
        devid,
        tag,
        path,
        security_model: securityModel,
      })),
    ),
    channels: some(config.channels.map(channel)),
    on_poweroff: action(config.onPoweroff),
    on_reboot: action(config.onReboot),
    on_watchdog: action(config.onWatchdog),
    on_crash: action(config.onCrash),
    on_soft_reset: action(config.onSoftReset),
  })
}

/** `destroy` is the first of libxl's actions and so its default. */
const action = (word: string) => (word === 'destroy' ? undefined : (ACTION[word] ?? word))

const disk = (disk: DiskConfig): Json =>
  without({
    backend_domname: disk.backend,
    pdev_path: disk.target,
    vdev: disk.vdev,
    backend: disk.backendtype,
    format: disk.format,
    script: disk.script,
    removable: disk.removable ? 1 : undefined,
    readwrite: disk.readwrite ? 1 : undefined,
    is_cdrom: disk.cdrom ? 1 : undefined,
    direct_io_safe: disk.directIoSafe ? 'True' : undefined,
    discard_enable: disk.discard === undefined ? undefined : disk.discard ? 'True' : 'False',
  })

const nic = (vif: VifConfig): Json =>
  without({
    backend_domname: vif.backend,
    devid: vif.devid,
    mtu: vif.mtu === 1500 ? undefined : vif.mtu,
    model: vif.model,
    mac: vif.mac,
    ip: vif.ip,
    bridge: vif.bridge,
    ifname: vif.vifname,
    script: vif.script,
    nictype: vif.type === 'vif' ? undefined : 'vif_ioemu',
    rate_bytes_per_interval: vif.rateBytesPerInterval,
    rate_interval_usecs: vif.rateIntervalUs,
    gatewaydev: vif.gatewaydev,
  })

const channel = ({ devid, name, backend, connection, path }: ChannelConfig): Json =>
  without({
    backend_domname: backend,
    devid,
    name,
    [`connection.${connection}`]: connection === 'socket' ? { path } : {},
  })

const some = (items: readonly Json[]) => (items.length === 0 ? undefined : items)

const without = (members: Json): Json =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
