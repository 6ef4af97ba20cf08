/** Disks, vifs, shares and channels as libxl's structures, for its JSON. */
import type { LibxlObject } from '../libxl-config.ts'
import type { ChannelSpec } from '../specs/channel.ts'
import type { DiskSpec } from '../specs/disk.ts'
import type { P9Spec } from '../specs/p9.ts'
import type { VifSpec } from '../specs/vif.ts'

/** Without the members that are undefined. */
function given(members: Readonly<Record<string, LibxlObject[string]>>): LibxlObject {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
}

export function libxlDisk(disk: DiskSpec): LibxlObject {
  return given({
    backend_domname: disk.backend,
    pdev_path: disk.target,
    vdev: disk.vdev,
    backend: disk.backendtype,
    format: disk.format,
    script: disk.script,
    removable: Number(disk.removable),
    readwrite: Number(disk.readwrite),
    is_cdrom: Number(disk.cdrom),
    direct_io_safe: disk.directIoSafe,
    discard_enable: disk.discard,
    specification: disk.specification,
    colo_enable: disk.colo,
    colo_host: disk.coloHost,
    colo_port: disk.coloPort,
    colo_export: disk.coloExport,
    active_disk: disk.activeDisk,
    hidden_disk: disk.hiddenDisk,
    trusted: disk.trusted,
    grant_usage: disk.grantUsage,
  })
}

export function libxlNic(vif: VifSpec): LibxlObject {
  return given({
    backend_domname: vif.backend,
    devid: vif.devid,
    mtu: vif.mtu,
    vlan: vif.vlan,
    model: vif.model,
    mac: vif.mac,
    ip: vif.ip,
    bridge: vif.bridge,
    ifname: vif.vifname,
    script: vif.script,
    nictype: vif.type === 'ioemu' ? 'vif_ioemu' : vif.type,
    rate_bytes_per_interval: vif.rateBytesPerInterval,
    rate_interval_usecs: vif.rateIntervalUs,
    gatewaydev: vif.gatewaydev,
    trusted: vif.trusted,
    ...vif.colo,
  })
}

export function libxlP9(p9: P9Spec): LibxlObject {
  return given({
    backend_domname: p9.backend,
    tag: p9.tag,
    path: p9.path,
    security_model: p9.securityModel,
    type: p9.type,
    max_space: p9.maxSpace,
    max_files: p9.maxFiles,
    max_open_files: p9.maxOpenFiles,
    auto_delete: p9.autoDelete,
  })
}

export function libxlChannel(channel: ChannelSpec, devid: number): LibxlObject {
  return given({
    backend_domname: channel.backend,
    devid,
    name: channel.name,
    [`connection.${channel.connection}`]:
      channel.connection === 'socket' ? given({ path: channel.path }) : {},
  })
}
