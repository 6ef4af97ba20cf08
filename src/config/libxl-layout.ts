/**
 * The structures of libxl that a domain's JSON is made of: their fields in libxl's order, and what each field's
 * default is (a field at its default is not printed). From Xen's libxl_types.idl, 4.17 with the later fields.
 */

/**
 * `text` `uuid` `any`: printed if present. `defbool`: "True" or "False". `flag`: true, or nothing.
 * `int`: not printed if 0; `int:N`: if N. `enum`: a word; `enum:WORD`: not printed if WORD.
 * `list`: numbers or strings, not printed if empty. `@name`: a structure, always printed; `@name?`: if present;
 * `@name[]`: a list of them, not printed if empty.
 */
export type FieldKind = string

export type Structure = readonly (readonly [name: string, kind: FieldKind])[]

function fields(text: string): Structure {
  return text
    .trim()
    .split(/\s+/)
    .map((field) => {
      const [name, kind] = field.split('=')
      return [name!, kind!]
    })
}

/** What uint64 memory sizes are when nobody said: libxl's LIBXL_MEMKB_DEFAULT. */
const MEMKB = 'int:18446744073709551615'
const UINT32_DEFAULT = 'int:4294967295'
const BACKEND = 'backend_domid=int backend_domname=text'

export const STRUCTURES: Readonly<Record<string, Structure>> = {
  domain_config: fields(`
    c_info=@create_info b_info=@build_info disks=@disk[] nics=@nic[] pcidevs=@pci[] dtdevs=@dtdev[] vfbs=@vfb[]
    vkbs=@vkb[] virtios=@virtio[] vtpms=@vtpm[] p9s=@p9[] pvcallsifs=@pvcallsif[] vdispls=@vdispl[] vsnds=@vsnd[]
    channels=@channel[] usbctrls=@usbctrl[] usbdevs=@usbdev[] on_poweroff=enum:destroy on_reboot=enum:destroy
    on_watchdog=enum:destroy on_crash=enum:destroy on_soft_reset=enum:destroy`),
  create_info: fields(`
    type=enum hap=defbool oos=defbool ssidref=int ssid_label=text name=text domid=int uuid=uuid poolid=int
    pool_name=text run_hotplug_scripts=defbool driver_domain=defbool passthrough=enum:default
    xend_suspend_evtchn_compat=defbool`),
  build_info: fields(`
    max_vcpus=int avail_vcpus=list vcpu_hard_affinity=list vcpu_soft_affinity=list numa_placement=defbool
    tsc_mode=enum:default max_memkb=${MEMKB} target_memkb=${MEMKB} video_memkb=${MEMKB} shadow_memkb=${MEMKB}
    iommu_memkb=${MEMKB} rtc_timeoffset=int exec_ssidref=int exec_ssid_label=text localtime=defbool
    disable_migrate=defbool cpuid=any blkdev_start=text vnuma_nodes=@vnode[]
    max_grant_frames=${UINT32_DEFAULT} max_maptrack_frames=${UINT32_DEFAULT} max_grant_version=int:-1
    device_model_version=enum device_model_stubdomain=defbool stubdomain_memkb=${MEMKB} stubdomain_kernel=text
    stubdomain_cmdline=text stubdomain_ramdisk=text device_model=text device_model_ssid_label=text
    device_model_user=text extra=list extra_pv=list extra_hvm=list sched_params=@sched_params ioports=@ioports[]
    irqs=list iomem=@iomem[] llc_colors=list claim_mode=defbool event_channels=int kernel=text cmdline=text
    ramdisk=text device_tree=text acpi=defbool bootloader=text bootloader_args=list bootloader_restrict=defbool
    bootloader_user=text timer_mode=enum:unknown nested_hvm=defbool apic=defbool dm_restrict=defbool tee=enum:none
    type.hvm=@hvm? type.pv=@pv? type.pvh=@pvh? arch_arm=@arch_arm arch_x86=@arch_x86 altp2m=enum:disabled
    altp2m_count=int:10 vmtrace_buf_kb=int vpmu=defbool trap_unmapped_accesses=defbool
    xenstore_feature_mask=${UINT32_DEFAULT} xenstore_quota=@quota?`),
  hvm: fields(`
    firmware=text bios=enum:unknown pae=defbool acpi_s3=defbool acpi_s4=defbool acpi_laptop_slate=defbool
    nx=defbool viridian=defbool viridian_enable=list viridian_disable=list hpet=defbool vpt_align=defbool
    mmio_hole_memkb=${MEMKB} altp2m=defbool system_firmware=text smbios_firmware=text smbios=@smbios[]
    acpi_firmware=text hdtype=enum:ide nographic=defbool vga=@vga vnc=@vnc keymap=text sdl=@sdl spice=@spice
    gfx_passthru=defbool gfx_passthru_kind=enum:default serial=text boot=text usb=defbool usbversion=int
    usbdevice=text vkb_device=defbool soundhw=text xen_platform_pci=defbool xen_platform_pci_bar_uc=defbool
    usbdevice_list=list vendor_device=enum:none ms_vm_genid=list serial_list=list rdm=@rdm
    rdm_mem_boundary_memkb=${MEMKB} mca_caps=int pirq=defbool`),
  pv: fields('e820_host=defbool'),
  pvh: fields('pvshim=defbool pvshim_path=text pvshim_cmdline=text pvshim_extra=text'),
  arch_arm: fields(
    'gic_version=enum:default vuart=enum:unknown sve_vl=enum:disabled nr_spis=int:4294967295 arm_sci=@arm_sci?',
  ),
  arch_x86: fields('msr_relaxed=defbool'),
  arm_sci: fields('type=enum:none'),
  quota: fields('quota=@quota_item[]'),
  quota_item: fields('name=text val=int'),
  sched_params: fields(
    'sched=enum weight=int:-1 cap=int:-1 period=int:-1 budget=int:-1 extratime=int:-1 slice=int:-1 latency=int:-1',
  ),
  vnode: fields(`memkb=${MEMKB} distances=list pnode=int vcpus=list`),
  ioports: fields('first=int number=int'),
  iomem: fields('start=int number=int gfn=int:18446744073709551615'),
  smbios: fields('key=enum value=text'),
  rdm: fields('strategy=enum:ignore policy=enum:invalid'),
  vga: fields('kind=enum'),
  vnc: fields('enable=defbool listen=text passwd=text display=int findunused=defbool'),
  sdl: fields('enable=defbool opengl=defbool display=text xauthority=text'),
  spice: fields(`
    enable=defbool port=int tls_port=int host=text disable_ticketing=defbool passwd=text agent_mouse=defbool
    vdagent=defbool clipboard_sharing=defbool usbredirection=int image_compression=text streaming_video=text`),
  disk: fields(`
    ${BACKEND} pdev_path=text vdev=text backend=enum format=enum script=text removable=int readwrite=int
    is_cdrom=int direct_io_safe=flag discard_enable=defbool specification=enum colo_enable=defbool colo_host=text
    colo_port=int colo_export=text active_disk=text hidden_disk=text trusted=defbool grant_usage=defbool`),
  nic: fields(`
    ${BACKEND} devid=int:-1 mtu=int vlan=text model=text mac=enum:00:00:00:00:00:00 ip=text bridge=text ifname=text
    script=text nictype=enum rate_bytes_per_interval=int rate_interval_usecs=int gatewaydev=text coloft_forwarddev=text
    ${[
      'mirror',
      'compare_pri_in',
      'compare_sec_in',
      'compare_notify',
      'redirector0',
      'redirector1',
      'redirector2',
    ]
      .flatMap((part) => ['id', 'ip', 'port'].map((end) => `colo_sock_${part}_${end}=text`))
      .join(' ')}
    colo_filter_mirror_queue=text colo_filter_mirror_outdev=text
    ${['redirector0', 'redirector1']
      .flatMap((part) => ['queue', 'indev', 'outdev'].map((end) => `colo_filter_${part}_${end}=text`))
      .join(' ')}
    colo_compare_pri_in=text colo_compare_sec_in=text colo_compare_out=text colo_compare_notify_dev=text
    ${['redirector0', 'redirector1']
      .flatMap((part) => ['id', 'ip', 'port'].map((end) => `colo_sock_sec_${part}_${end}=text`))
      .join(' ')}
    ${['redirector0', 'redirector1']
      .flatMap((part) => ['queue', 'indev', 'outdev'].map((end) => `colo_filter_sec_${part}_${end}=text`))
      .join(' ')}
    colo_filter_sec_rewriter0_queue=text colo_checkpoint_host=text colo_checkpoint_port=text trusted=defbool`),
  pci: fields(`
    func=int dev=int bus=int domain=int vdevfn=int vfunc_mask=int msitranslate=flag power_mgmt=flag permissive=flag
    seize=flag rdm_policy=enum:invalid name=text`),
  dtdev: fields('path=text'),
  vfb: fields(`${BACKEND} devid=int:-1 vnc=@vnc sdl=@sdl keymap=text`),
  vkb: fields(`
    ${BACKEND} devid=int:-1 backend_type=enum:unknown unique_id=text feature_disable_keyboard=flag
    feature_disable_pointer=flag feature_abs_pointer=flag feature_raw_pointer=flag feature_multi_touch=flag width=int
    height=int multi_touch_width=int multi_touch_height=int multi_touch_num_contacts=int`),
  virtio: fields(`${BACKEND} type=text transport=enum:unknown grant_usage=defbool devid=int:-1`),
  vtpm: fields(`${BACKEND} devid=int:-1 uuid=uuid`),
  p9: fields(`
    ${BACKEND} tag=text path=text security_model=text devid=int:-1 type=enum:unknown max_space=int max_files=int
    max_open_files=int auto_delete=flag`),
  pvcallsif: fields(`${BACKEND} devid=int:-1`),
  vdispl: fields(`${BACKEND} devid=int:-1 be_alloc=flag connectors=@connector[]`),
  connector: fields('unique_id=text width=int height=int'),
  vsnd: fields(`${BACKEND} devid=int:-1 short_name=text long_name=text params=@vsnd_params pcms=@pcm[]`),
  vsnd_params: fields(
    'sample_rates=list sample_formats=list channels_min=int channels_max=int buffer_size=int',
  ),
  pcm: fields('name=text params=@vsnd_params streams=@stream[]'),
  stream: fields('unique_id=text type=enum params=@vsnd_params'),
  channel: fields(`${BACKEND} devid=int:-1 name=text connection.pty=@nothing? connection.socket=@socket?`),
  nothing: [],
  socket: fields('path=text'),
  usbctrl: fields(`type=enum:auto devid=int:-1 version=int ports=int ${BACKEND}`),
  usbdev: fields('ctrl=int:-1 port=int type.hostdev=@hostdev?'),
  hostdev: fields('hostbus=int hostaddr=int'),
}
