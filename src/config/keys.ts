/**
 * Every key of xl's configuration language (xl.cfg(5), Xen 4.17 to 4.22) and xt's own: type, guests, default,
 * meaning, and what xt makes of it. The reader, the unknown-key advice and docs/configuration.md come from it.
 *
 * Longer than most files because it is data: one row per key, grouped as in the manual.
 */

export type KeyType =
  | 'string'
  | 'number'
  | 'boolean'
  | 'list'
  | 'string or list'
  | 'number or string'
  | 'boolean or list'
/**
 * `used`: it acts. `none`: read, without effect here. `refused`: setting it is an error when a guest is to run.
 * `plugin`: the same, unless a plugin of the guest serves such devices.
 */
export type Effect = 'used' | 'none' | 'refused' | 'plugin'
/** H: HVM, P: PVH, V: PV, A: Arm only. */
export type Guests = 'all' | 'H' | 'P' | 'V' | 'HP' | 'HV' | 'PV' | 'A'

export interface KeyRow {
  readonly key: string
  readonly type: KeyType
  readonly guests: Guests
  readonly effect: Effect
  readonly default: string
  readonly about: string
  /** Where a plain value goes in libxl's structure; absent where reading it takes more. */
  readonly put?: Put
}

export interface Put {
  readonly path: readonly string[]
  /** How numbers are kept; strings, lists of strings and booleans need no word. */
  readonly as: 'plain' | 'int' | 'uint32' | 'memkb'
  /** The only guest type for which xl reads it. */
  readonly only?: 'hvm' | 'pvh' | 'pv'
}

type Tuple = readonly [
  key: string,
  type: KeyType,
  guests: Guests,
  effect: Effect,
  fallback: string,
  about: string,
  put?: string,
]

const IDENTITY: readonly Tuple[] = [
  ['name', 'string', 'all', 'used', 'mandatory', 'Name of the domain'],
  ['type', 'string', 'all', 'used', 'pv', 'Kind of guest: `pvh`, `hvm` or `pv`'],
  ['builder', 'string', 'all', 'used', '', 'Old way to say the type: `hvm` or `generic`'],
  ['uuid', 'string', 'all', 'used', 'random', 'Unique id, with dashes'],
  [
    'memory',
    'number',
    'all',
    'used',
    'maxmem, else 32',
    'Memory at start, in MiB',
    'b_info/target_memkb memkb',
  ],
  [
    'maxmem',
    'number',
    'all',
    'used',
    'memory',
    'Most memory the guest may have, in MiB',
    'b_info/max_memkb memkb',
  ],
  ['vcpus', 'number', 'all', 'used', '1', 'vCPUs online at start'],
  ['maxvcpus', 'number', 'all', 'used', 'vcpus', 'vCPUs the guest may have', 'b_info/max_vcpus int'],
  ['cpus', 'string or list', 'all', 'none', 'any', 'Host CPUs the vCPUs may run on'],
  ['cpus_soft', 'string or list', 'all', 'none', 'any', 'Host CPUs the vCPUs should run on'],
  [
    'cpu_weight',
    'number',
    'all',
    'none',
    '256',
    'Share of the processors under contention',
    'b_info/sched_params/weight int',
  ],
  [
    'cap',
    'number',
    'all',
    'none',
    '0',
    'Most processor time, in percent of one CPU; 0 is no limit',
    'b_info/sched_params/cap int',
  ],
  ['period', 'number', 'all', 'none', '', 'Scheduling period (RTDS)', 'b_info/sched_params/period int'],
  ['slice', 'number', 'all', 'none', '', 'Scheduling slice (SEDF, gone)', 'b_info/sched_params/slice int'],
  [
    'latency',
    'number',
    'all',
    'none',
    '',
    'Scheduling latency (SEDF, gone)',
    'b_info/sched_params/latency int',
  ],
  [
    'extratime',
    'number',
    'all',
    'none',
    '',
    'Scheduling extra time (RTDS)',
    'b_info/sched_params/extratime int',
  ],
  ['pool', 'string', 'all', 'none', 'Pool-0', 'CPU pool', 'c_info/pool_name'],
  ['vnuma', 'list', 'HP', 'none', 'none', 'Virtual NUMA nodes'],
  [
    'shadow_memory',
    'number',
    'HP',
    'none',
    '1 per vCPU and 8 KiB per MiB',
    'Memory for paging, in MiB',
    'b_info/shadow_memkb memkb',
  ],
  ['hap', 'boolean', 'HP', 'none', '1', 'Hardware-assisted paging', 'c_info/hap'],
  ['oos', 'boolean', 'HP', 'none', '1', 'Out-of-sync page tables', 'c_info/oos'],
  ['nestedhvm', 'boolean', 'HP', 'none', '0', 'Virtualization inside the guest', 'b_info/nested_hvm'],
  [
    'cpuid',
    'string or list',
    'all',
    'used',
    'host',
    'CPUID bits the guest sees; a feature that the processor lacks cannot be given',
  ],
  ['nomigrate', 'boolean', 'all', 'none', '0', 'The guest is never migrated', 'b_info/disable_migrate'],
  [
    'driver_domain',
    'boolean',
    'all',
    'none',
    '0',
    'The guest serves devices to others',
    'c_info/driver_domain',
  ],
  ['seclabel', 'string', 'all', 'none', 'none', 'XSM label'],
  ['init_seclabel', 'string', 'all', 'none', 'none', 'XSM label while the guest is built'],
  [
    'passthrough',
    'string',
    'all',
    'none',
    'default',
    'IOMMU use: `disabled`, `enabled`, `sync_pt`, `share_pt`',
  ],
  [
    'max_grant_frames',
    'number',
    'all',
    'used',
    'of the host',
    'Most frames of the grant table; more than 64 it never has',
  ],
  ['max_maptrack_frames', 'number', 'all', 'none', 'of the host', 'Most frames of the maptrack table'],
  ['max_grant_version', 'number', 'all', 'none', 'of the host', 'Highest grant table version'],
  [
    'max_event_channels',
    'number',
    'all',
    'used',
    '1023',
    'Highest event channel',
    'b_info/event_channels uint32',
  ],
  [
    'xenstore_feature_mask',
    'number',
    'all',
    'none',
    'all ones',
    'Xenstore features offered',
    'b_info/xenstore_feature_mask uint32',
  ],
  ['xenstore_quota', 'list', 'all', 'none', 'none', 'Xenstore quotas, `name=value`'],
  [
    'xend_suspend_evtchn_compat',
    'boolean',
    'all',
    'none',
    '0',
    'Old suspend event channel',
    'c_info/xend_suspend_evtchn_compat',
  ],
  ['vmtrace_buf_kb', 'number', 'all', 'none', '0', 'Size of the trace buffer, in KiB'],
]

const BOOT: readonly Tuple[] = [
  ['kernel', 'string', 'all', 'used', 'none', 'Kernel image', 'b_info/kernel'],
  ['ramdisk', 'string', 'all', 'used', 'none', 'Initial ramdisk', 'b_info/ramdisk'],
  ['cmdline', 'string', 'all', 'used', 'none', "Kernel's command line; wins over `root` and `extra`"],
  ['root', 'string', 'all', 'used', 'none', 'Makes `root=...` of the command line'],
  ['extra', 'string', 'all', 'used', 'none', 'Rest of the command line'],
  ['boot', 'string', 'H', 'none', 'cda', 'Boot order: a floppy, c disk, d CD, n network', 'hvm boot'],
  [
    'firmware',
    'string',
    'all',
    'refused',
    'bios',
    'Firmware: HVM `bios`, `uefi` ..., PVH and PV `pvgrub32`, `pvgrub64`',
  ],
  ['bios', 'string', 'H', 'none', 'seabios', 'Firmware: `rombios`, `seabios`, `ovmf`'],
  ['bios_path_override', 'string', 'H', 'none', '', 'File of that firmware', 'hvm system_firmware'],
  [
    'firmware_override',
    'string',
    'H',
    'none',
    'hvmloader',
    'File of the first stage firmware',
    'hvm firmware',
  ],
  [
    'bootloader',
    'string',
    'PV',
    'used',
    'none',
    'Program that finds the kernel in the guest',
    'b_info/bootloader',
  ],
  ['bootloader_args', 'string or list', 'PV', 'used', 'none', 'Its arguments'],
  [
    'bootloader_restrict',
    'boolean',
    'PV',
    'none',
    '0',
    'Run it with few rights',
    'b_info/bootloader_restrict',
  ],
  ['bootloader_user', 'string', 'PV', 'none', '', 'Run it as this user', 'b_info/bootloader_user'],
  ['pvshim', 'boolean', 'P', 'refused', '0', 'Run a PV kernel in a PVH guest', 'pvh pvshim'],
  ['pvshim_path', 'string', 'P', 'none', '', 'File of the shim', 'pvh pvshim_path'],
  ['pvshim_cmdline', 'string', 'P', 'none', '', 'Its command line', 'pvh pvshim_cmdline'],
  ['pvshim_extra', 'string', 'P', 'none', '', 'More of its command line', 'pvh pvshim_extra'],
  [
    'e820_host',
    'boolean',
    'V',
    'none',
    '0, 1 with pci',
    "The host's memory map for the guest",
    'pv e820_host',
  ],
  ['on_poweroff', 'string', 'all', 'used', 'destroy', 'What to do when the guest powers off'],
  ['on_reboot', 'string', 'all', 'used', 'restart', 'What to do when the guest reboots'],
  ['on_crash', 'string', 'all', 'used', 'destroy', 'What to do when the guest crashes'],
  ['on_watchdog', 'string', 'all', 'used', 'destroy', 'What to do when the watchdog fires'],
  ['on_soft_reset', 'string', 'all', 'used', 'soft-reset', 'What to do on a soft reset'],
]

const PLATFORM: readonly Tuple[] = [
  [
    'acpi',
    'boolean',
    'all',
    'used',
    '1',
    'ACPI tables; a PVH guest has them in any case, so `0` is refused',
    'b_info/acpi',
  ],
  ['apic', 'boolean', 'H', 'none', '1', 'I/O APIC', 'hvm-only b_info/apic'],
  ['pae', 'boolean', 'H', 'none', '1', 'Physical address extensions', 'hvm pae'],
  ['nx', 'boolean', 'H', 'none', '1', 'No-execute pages', 'hvm nx'],
  ['acpi_s3', 'boolean', 'H', 'none', '1', 'Sleep state S3', 'hvm acpi_s3'],
  ['acpi_s4', 'boolean', 'H', 'none', '1', 'Sleep state S4', 'hvm acpi_s4'],
  ['acpi_laptop_slate', 'boolean', 'H', 'none', '0', 'Laptop and slate mode switch', 'hvm acpi_laptop_slate'],
  ['hpet', 'boolean', 'H', 'none', '1', 'High precision timer', 'hvm hpet'],
  ['vpt_align', 'boolean', 'H', 'none', '1', 'Align virtual timers', 'hvm vpt_align'],
  ['viridian', 'boolean or list', 'H', 'none', '0', "Hyper-V's interfaces for Windows guests"],
  [
    'tsc_mode',
    'number or string',
    'all',
    'none',
    'default',
    'Time stamp counter: `default`, `always_emulate`, `native`, `native_paravirt`',
  ],
  [
    'timer_mode',
    'number or string',
    'HP',
    'none',
    'no_delay_for_missed_ticks',
    'What becomes of missed timer ticks',
  ],
  ['localtime', 'boolean', 'all', 'used', '0', 'The clock shows local time', 'b_info/localtime'],
  [
    'rtc_timeoffset',
    'number',
    'all',
    'used',
    '0',
    'Offset of the clock, in seconds',
    'b_info/rtc_timeoffset uint32',
  ],
  ['mmio_hole', 'number', 'H', 'none', 'automatic', 'Room for devices below 4 GiB, in MiB'],
  ['xen_platform_pci', 'boolean', 'H', 'none', '1', 'The Xen platform device', 'hvm xen_platform_pci'],
  [
    'xen_platform_pci_bar_uc',
    'boolean',
    'H',
    'none',
    '1',
    'Its memory is uncached',
    'hvm xen_platform_pci_bar_uc',
  ],
  ['hvm_pirq', 'boolean', 'H', 'none', '0', 'Interrupts through event channels', 'hvm pirq'],
  [
    'altp2m',
    'number or string',
    'all',
    'none',
    'disabled',
    'Alternate page tables: `disabled`, `mixed`, `external`, `limited`',
  ],
  ['altp2mhvm', 'boolean', 'H', 'none', '0', 'The same, deprecated', 'hvm altp2m'],
  ['altp2m_count', 'number', 'H', 'none', '10', 'How many alternate page tables'],
  ['acpi_firmware', 'string', 'H', 'none', 'none', 'File with further ACPI tables', 'hvm acpi_firmware'],
  [
    'smbios_firmware',
    'string',
    'H',
    'none',
    'none',
    'File with further SMBIOS structures',
    'hvm smbios_firmware',
  ],
  ['smbios', 'list', 'H', 'none', 'none', 'SMBIOS strings, `key=value`'],
  ['ms_vm_genid', 'string', 'H', 'none', 'none', 'Generation id for Windows: `generate` or `none`'],
  ['mca_caps', 'list', 'H', 'none', 'none', 'Machine check capabilities: `lmce`'],
  ['msr_relaxed', 'boolean', 'all', 'none', '0', 'Unknown MSRs read as zero', 'b_info/arch_x86/msr_relaxed'],
  ['vendor_device', 'string', 'H', 'none', 'none', "A vendor's device: `xenserver`"],
  ['vpmu', 'boolean', 'A', 'none', '0', 'Virtual performance counters', 'b_info/vpmu'],
  ['device_tree', 'string', 'A', 'none', 'none', 'Partial device tree', 'b_info/device_tree'],
  ['dtdev', 'list', 'A', 'none', 'none', 'Device tree nodes to pass through'],
  ['gic_version', 'string', 'A', 'none', 'default', 'Interrupt controller: `v2`, `v3`'],
  ['vuart', 'string', 'A', 'none', 'none', 'Serial port: `sbsa_uart`'],
  ['sve', 'string', 'A', 'none', 'disabled', 'Vector length'],
  ['tee', 'string', 'A', 'none', 'none', 'Trusted environment: `optee`, `ffa`'],
  ['llc_colors', 'list', 'A', 'none', 'none', 'Cache colours'],
  ['nr_spis', 'number', 'A', 'none', 'automatic', 'Shared interrupts', 'b_info/arch_arm/nr_spis uint32'],
  [
    'trap_unmapped_accesses',
    'boolean',
    'A',
    'none',
    '1',
    'Fault on unmapped addresses',
    'b_info/trap_unmapped_accesses',
  ],
  ['arm_sci', 'string', 'A', 'none', 'none', 'System control interface, `type=scmi_smc`'],
]

const DEVICES: readonly Tuple[] = [
  ['disk', 'list', 'all', 'used', 'none', 'Disks: xl-disk-configuration(5)'],
  ['vif', 'list', 'all', 'used', 'none', 'Network interfaces: xl-network-configuration(5)'],
  ['vif2', 'list', 'all', 'none', '', 'Gone from Xen'],
  ['p9', 'list', 'all', 'used', 'none', 'Shared folders: `tag=,path=,security_model=none`'],
  ['channel', 'list', 'all', 'plugin', 'none', 'Channels: `connection=pty|socket,name=,path=`'],
  ['vfb', 'list', 'all', 'plugin', 'none', 'Paravirtual framebuffers: `vnc=1,vnclisten=...`'],
  ['vkb', 'list', 'all', 'plugin', 'none', 'Paravirtual keyboards: `backend-type=qemu|linux`'],
  ['vtpm', 'list', 'all', 'refused', 'none', 'TPMs: `backend=,uuid=`'],
  ['pvcalls', 'list', 'all', 'refused', 'none', 'PV sockets: `backend=`'],
  ['vdispl', 'list', 'all', 'refused', 'none', 'Displays: `connectors=ID:WxH`'],
  ['vsnd', 'list', 'all', 'refused', 'none', 'Sound cards'],
  ['virtio', 'list', 'all', 'refused', 'none', 'Virtio devices: `type=virtio,deviceN,transport=mmio`'],
  ['usbctrl', 'list', 'all', 'refused', 'none', 'USB controllers: `type=,version=,ports=`'],
  ['usbdev', 'list', 'all', 'refused', 'none', 'USB devices: `type=hostdev,hostbus=,hostaddr=`'],
  ['pci', 'list', 'HV', 'refused', 'none', 'PCI devices: `[DDDD:]BB:SS.F[@VSLOT][,key=value]`'],
  ['pci_permissive', 'number', 'HV', 'none', '0', 'Default of `permissive` for all PCI devices'],
  ['pci_msitranslate', 'number', 'HV', 'none', '0', 'Default of `msitranslate`'],
  ['pci_seize', 'number', 'HV', 'none', '0', 'Default of `seize`'],
  ['pci_power_mgmt', 'number', 'HV', 'none', '0', 'Default of `power_mgmt`'],
  ['rdm', 'string', 'H', 'none', 'none', 'Reserved device memory: `strategy=host,policy=...`'],
  [
    'rdm_mem_boundary',
    'number',
    'H',
    'none',
    '2048',
    'Its boundary, in MiB',
    'hvm rdm_mem_boundary_memkb memkb',
  ],
  ['ioports', 'list', 'all', 'none', 'none', 'I/O ports to pass through, hexadecimal'],
  ['iomem', 'list', 'all', 'none', 'none', 'Memory pages to pass through, hexadecimal'],
  ['irqs', 'list', 'all', 'none', 'none', 'Interrupts to pass through'],
  ['hdtype', 'string', 'H', 'none', 'ide', 'Emulated disk controller: `ide`, `ahci`'],
  ['serial', 'string or list', 'H', 'none', 'none', 'Emulated serial ports'],
  ['usb', 'boolean', 'H', 'none', '0', 'Emulated USB controller', 'hvm usb'],
  ['usbdevice', 'string or list', 'H', 'none', 'none', 'Emulated USB devices: `tablet` ...'],
  ['usbversion', 'number', 'H', 'none', '0', 'Version of the emulated USB controller', 'hvm usbversion int'],
  ['soundhw', 'string', 'H', 'none', 'none', 'Emulated sound card', 'hvm soundhw'],
  ['vkb_device', 'boolean', 'H', 'none', '1', 'A paravirtual keyboard too', 'hvm vkb_device'],
  ['gfx_passthru', 'number or string', 'H', 'none', '0', 'Graphics card pass-through: `igd`'],
]

const DISPLAY: readonly Tuple[] = [
  ['vga', 'string', 'H', 'none', 'cirrus', 'Graphics card: `none`, `stdvga`, `cirrus`, `qxl`'],
  ['stdvga', 'boolean', 'H', 'none', '0', 'The same, deprecated'],
  ['videoram', 'number', 'H', 'none', '8', 'Video memory, in MiB', 'b_info/video_memkb memkb'],
  ['nographic', 'boolean', 'H', 'none', '0', 'No graphics at all', 'hvm nographic'],
  ['vnc', 'boolean', 'HV', 'none', '1, PV 0', 'Display over VNC'],
  ['vnclisten', 'string', 'HV', 'none', '127.0.0.1', 'Address to listen on'],
  ['vncdisplay', 'number', 'HV', 'none', '0', 'Display number: port 5900 + N'],
  ['vncunused', 'boolean', 'HV', 'none', '1', 'Take the next free display'],
  ['vncpasswd', 'string', 'HV', 'none', 'none', 'Password'],
  ['keymap', 'string', 'HV', 'none', 'none', 'Keyboard layout'],
  ['sdl', 'boolean', 'HV', 'none', '0', 'Display in a window'],
  ['opengl', 'boolean', 'HV', 'none', '0', 'With OpenGL'],
  ['display', 'string', 'HV', 'none', '$DISPLAY', 'X display of that window'],
  ['xauthority', 'string', 'HV', 'none', '', 'X authority file'],
  ['vncviewer', 'number', 'all', 'none', '', 'Gone; `create -V` shows a viewer'],
  ['spice', 'boolean', 'H', 'none', '0', 'Display over SPICE', 'hvm spice/enable'],
  ['spicehost', 'string', 'H', 'none', 'all', 'Address to listen on', 'hvm spice/host'],
  ['spiceport', 'number', 'H', 'none', '', 'Port', 'hvm spice/port int'],
  ['spicetls_port', 'number', 'H', 'none', '', 'Port with TLS', 'hvm spice/tls_port int'],
  ['spicedisable_ticketing', 'boolean', 'H', 'none', '0', 'No password', 'hvm spice/disable_ticketing'],
  ['spicepasswd', 'string', 'H', 'none', '', 'Password', 'hvm spice/passwd'],
  ['spiceagent_mouse', 'boolean', 'H', 'none', '1', "The agent's mouse", 'hvm spice/agent_mouse'],
  ['spicevdagent', 'boolean', 'H', 'none', '0', 'The agent', 'hvm spice/vdagent'],
  ['spice_clipboard_sharing', 'boolean', 'H', 'none', '0', 'Shared clipboard', 'hvm spice/clipboard_sharing'],
  [
    'spiceusbredirection',
    'number',
    'H',
    'none',
    '0',
    'USB redirection channels',
    'hvm spice/usbredirection int',
  ],
  ['spice_image_compression', 'string', 'H', 'none', '', 'Image compression', 'hvm spice/image_compression'],
  ['spice_streaming_video', 'string', 'H', 'none', '', 'Video streaming', 'hvm spice/streaming_video'],
]

const DEVICE_MODEL: readonly Tuple[] = [
  ['device_model', 'string', 'all', 'none', '', 'Gone from Xen'],
  ['device_model_version', 'string', 'H', 'none', 'qemu-xen', 'Device model'],
  ['device_model_override', 'string', 'all', 'none', '', 'File of the device model', 'b_info/device_model'],
  ['device_model_args', 'list', 'all', 'none', 'none', 'More arguments for it', 'b_info/extra'],
  ['device_model_args_hvm', 'list', 'all', 'none', 'none', 'The same, HVM guests only', 'b_info/extra_hvm'],
  ['device_model_args_pv', 'list', 'all', 'none', 'none', 'The same, PV guests only', 'b_info/extra_pv'],
  ['device_model_user', 'string', 'H', 'none', '', 'Run it as this user', 'b_info/device_model_user'],
  ['dm_restrict', 'boolean', 'H', 'none', '0', 'Run it with few rights', 'b_info/dm_restrict'],
  [
    'device_model_stubdomain_override',
    'boolean',
    'H',
    'none',
    '0',
    'Run it in a domain of its own',
    'b_info/device_model_stubdomain',
  ],
  [
    'device_model_stubdomain_seclabel',
    'string',
    'H',
    'none',
    '',
    'XSM label of that domain',
    'b_info/device_model_ssid_label',
  ],
  ['stubdomain_kernel', 'string', 'H', 'none', '', 'Kernel of that domain', 'b_info/stubdomain_kernel'],
  ['stubdomain_ramdisk', 'string', 'H', 'none', '', 'Ramdisk of that domain', 'b_info/stubdomain_ramdisk'],
  [
    'stubdomain_cmdline',
    'string',
    'H',
    'none',
    '',
    'Command line of that domain',
    'b_info/stubdomain_cmdline',
  ],
  [
    'stubdomain_memory',
    'number',
    'H',
    'none',
    '128',
    'Memory of that domain, in MiB',
    'b_info/stubdomain_memkb memkb',
  ],
]

const OWN: readonly Tuple[] = [
  ['cpu', 'string', 'all', 'used', 'auto', 'CPU backend: `auto`, `software`, `kvm`'],
  ['plugins', 'list', 'all', 'used', 'none', 'Further engine plugins: packages or paths'],
]

/** The groups of keys, in the order of the documentation. */
export const KEY_GROUPS: readonly (readonly [title: string, rows: readonly KeyRow[]])[] = [
  ['Identity, memory, processors', IDENTITY.map(row)],
  ['Booting and events', BOOT.map(row)],
  ['Platform', PLATFORM.map(row)],
  ['Devices', DEVICES.map(row)],
  ['Display', DISPLAY.map(row)],
  ['Device model', DEVICE_MODEL.map(row)],
  ["xt's own", OWN.map(row)],
]

export const KEYS: ReadonlyMap<string, KeyRow> = new Map(
  KEY_GROUPS.flatMap(([, rows]) => rows.map((entry): [string, KeyRow] => [entry.key, entry])),
)

function row([key, type, guests, effect, fallback, about, put]: Tuple): KeyRow {
  return {
    key,
    type,
    guests,
    effect,
    default: fallback,
    about,
    ...(put === undefined ? {} : { put: readPut(put) }),
  }
}

/** `path [as]`, or `hvm path [as]` for the part of libxl's structure that belongs to a guest type. */
function readPut(text: string): Put {
  const words = text.split(' ')
  const scope = /^(?:hvm|pvh|pv|hvm-only)$/.test(words[0]!) ? words.shift()! : undefined
  const only = scope?.replace('-only', '') as Put['only']
  const path = words[0]!.split('/')
  const as = (words[1] ?? 'plain') as Put['as']
  return {
    path: scope === undefined || scope === 'hvm-only' ? path : ['b_info', `type.${scope}`, ...path],
    as,
    ...(only === undefined ? {} : { only }),
  }
}
