/** Booting, clocks and the emulated platform. */
import type { Reader } from './reader.ts'

const TSC_MODES = ['default', 'always_emulate', 'native', 'native_paravirt'] as const
/** In the order of libxl's numbers; `unknown` is its word for the default. */
const TIMER_MODES = [
  'delay_for_missed_ticks',
  'no_delay_for_missed_ticks',
  'no_missed_ticks_pending',
  'one_missed_tick_pending',
  'unknown',
] as const
const ALTP2M_MODES = ['disabled', 'mixed', 'external', 'limited'] as const
const BIOSES = ['unknown', 'rombios', 'seabios', 'ovmf'] as const
/** In the order of libxl's numbers. */
const VIRIDIAN = [
  'base',
  'freq',
  'time_ref_count',
  'reference_tsc',
  'hcall_remote_tlb_flush',
  'apic_assist',
  'crash_ctl',
  'synic',
  'stimer',
  'hcall_ipi',
  'ex_processor_masks',
  'no_vp_limit',
  'cpu_hotplug',
] as const
const VIRIDIAN_WIDTH = 64
/** Where Debian's Xen keeps its firmware. */
const FIRMWARE_DIR = '/usr/lib/xen-4.17/boot'
/** hvm/e820.h: the hole below 4 GiB, in MiB. */
const MMIO_HOLE_LEAST = 256n
const MMIO_HOLE_MOST = 3840n

export function readPlatform(reader: Reader): void {
  readCommandLine(reader)
  readBootloaderArguments(reader)
  const tsc = numberOrWord(reader, 'tsc_mode', TSC_MODES)
  if (tsc !== undefined) reader.put(['b_info', 'tsc_mode'], tsc)
  readTimerMode(reader)
  if (reader.type === 'hvm') readHvmPlatform(reader)
  else readDirectBoot(reader)
  const altp2m = numberOrWord(reader, 'altp2m', ALTP2M_MODES, { numbersAreFine: true })
  if (altp2m !== undefined) reader.put(['b_info', 'altp2m'], altp2m)
  const count = reader.quietNumber('altp2m_count')
  if (count !== undefined && (count < 0n || count > 0xffffn))
    reader.refuse('altp2m_count', 'a number from 0 to 65535')
  else if (count !== undefined) reader.put(['b_info', 'altp2m_count'], Number(count))
  readArm(reader)
  if (reader.settings.get('msr_relaxed') !== undefined)
    reader.deprecated('msr_relaxed', 'Xen is going to drop it')
}

function readCommandLine(reader: Reader): void {
  const { settings } = reader
  const [cmdline, root, extra] = [
    settings.string('cmdline'),
    settings.string('root'),
    settings.string('extra'),
  ]
  for (const key of ['root', 'extra']) {
    const setting = settings.get(key)
    if (cmdline !== undefined && setting !== undefined) {
      reader.problems.warn(setting.nameAt, setting.nameAt + key.length, 'XT_CONFIG_OVERRULED', key, 'cmdline')
    }
  }
  const parts = [...(root === undefined ? [] : [`root=${root}`]), ...(extra === undefined ? [] : [extra])]
  reader.put(['b_info', 'cmdline'], cmdline ?? (parts.length === 0 ? undefined : parts.join(' ')))
}

function readBootloaderArguments(reader: Reader): void {
  const value = reader.settings.get('bootloader_args')?.value
  if (value === undefined) return
  if (value.kind === 'list') {
    reader.put(
      ['b_info', 'bootloader_args'],
      reader.settings.items('bootloader_args').map((item) => item.text),
    )
    return
  }
  reader.deprecated('bootloader_args', 'write a list')
  const words = value.text.split(/[ \t\n]+/).filter((word) => word !== '')
  if (words.length === 0) reader.refuse('bootloader_args', 'a list of strings')
  reader.put(['b_info', 'bootloader_args'], words)
}

function numberOrWord<const W extends string>(
  reader: Reader,
  key: string,
  words: readonly W[],
  options: { readonly numbersAreFine?: boolean } = {},
): W | undefined {
  const number = reader.quietNumber(key)
  if (number === undefined) return reader.word(key, words)
  const word = words[Number(number)]
  if (word === undefined || word === 'unknown') reader.refuse(key, words.join(', '))
  else if (!options.numbersAreFine) reader.deprecated(key, `write the word, "${word}"`)
  return word
}

function readTimerMode(reader: Reader): void {
  const setting = reader.settings.get('timer_mode')
  if (setting?.value.kind === 'atom' && reader.type === 'pv') {
    reader.problems.error(setting.value.at, setting.value.end, 'XT_CONFIG_TIMER_MODE_PV')
    return
  }
  const mode = numberOrWord(reader, 'timer_mode', TIMER_MODES)
  if (mode !== undefined) reader.put(['b_info', 'timer_mode'], mode)
}

function readHvmPlatform(reader: Reader): void {
  const { settings } = reader
  const hvm = (name: string) => ['b_info', 'type.hvm', name]
  if (settings.string('kernel')?.split('/').at(-1) === 'hvmloader') {
    reader.deprecated('kernel', 'hvmloader is not a kernel; ignored (firmware_override names firmware)')
    delete (reader.get('b_info') as Record<string, unknown>)['kernel']
  }
  reader.put(hvm('bios'), reader.word('bios', BIOSES))
  if (settings.get('bios') === undefined && settings.get('bios_path_override') !== undefined) {
    reader.deprecated('bios_path_override', "given without `bios'")
  }
  readFirmware(reader, hvm)
  readViridian(reader, hvm)
  readMmioHole(reader, hvm)
  if (settings.boolean('altp2mhvm') !== undefined) reader.deprecated('altp2mhvm', 'write altp2m')
  readGenerationId(reader, hvm)
  readMcaCaps(reader, hvm)
}

type HvmPath = (name: string) => readonly string[]

/** XEN: `uefi`, `bios` or any first part of them; libxl's names in any case; everything else is a path. */
function readFirmware(reader: Reader, hvm: HvmPath): void {
  const text = reader.settings.string('firmware')
  if (text === undefined) return
  const bios = BIOSES.find((word) => word === text.toLowerCase())
  if (bios !== undefined) reader.put(hvm('bios'), bios)
  else if ('uefi'.startsWith(text)) reader.put(hvm('bios'), 'ovmf')
  else if (!'bios'.startsWith(text)) reader.put(hvm('firmware'), text)
}

function readViridian(reader: Reader, hvm: HvmPath): void {
  const value = reader.settings.get('viridian')?.value
  if (value?.kind === 'atom') reader.put(hvm('viridian'), reader.settings.boolean('viridian'))
  if (value?.kind !== 'list') return
  const on = new Set<number>()
  const off = new Set<number>()
  for (const item of value.items) {
    if (item.kind === 'list') {
      reader.problems.error(item.at, item.at + 1, 'XT_CONFIG_NESTED_LIST', 'viridian')
      return
    }
    const removes = item.text.startsWith('!')
    const name = (removes ? item.text.slice(1) : item.text).toLowerCase()
    const bit = (VIRIDIAN as readonly string[]).indexOf(name)
    if (item.text === 'all') for (let i = 0; i < VIRIDIAN_WIDTH; i++) on.add(i)
    else if (item.text === 'defaults') reader.put(hvm('viridian'), true)
    else if (bit < 0) {
      reader.problems.error(
        item.at,
        item.end,
        'XT_CONFIG_UNKNOWN_WORD',
        'viridian',
        item.text,
        VIRIDIAN.join(', '),
      )
    } else {
      const [to, from] = removes ? [off, on] : [on, off]
      to.add(bit)
      from.delete(bit)
    }
  }
  const sorted = (set: Set<number>) => [...set].sort((a, b) => a - b)
  reader.put(hvm('viridian_enable'), sorted(on))
  reader.put(hvm('viridian_disable'), sorted(off))
}

function readMmioHole(reader: Reader, hvm: HvmPath): void {
  const hole = reader.settings.number('mmio_hole')
  if (hole === undefined) return
  if (hole < MMIO_HOLE_LEAST || hole > MMIO_HOLE_MOST)
    reader.refuse('mmio_hole', `a number from ${MMIO_HOLE_LEAST} to ${MMIO_HOLE_MOST}`)
  else reader.put(hvm('mmio_hole_memkb'), hole * 1024n)
}

function readGenerationId(reader: Reader, hvm: HvmPath): void {
  const text = reader.settings.string('ms_vm_genid')
  if (text === undefined || text === 'none') return
  if (text !== 'generate') {
    reader.refuse('ms_vm_genid', 'generate or none')
    return
  }
  const bytes = reader.newUuid().replaceAll('-', '').match(/../g)!
  reader.put(
    hvm('ms_vm_genid'),
    bytes.map((byte) => Number.parseInt(byte, 16)),
  )
}

function readMcaCaps(reader: Reader, hvm: HvmPath): void {
  const value = reader.settings.get('mca_caps')?.value
  if (value === undefined) return
  const items = value.kind === 'list' ? value.items : [value]
  for (const item of items) {
    if (value.kind === 'list' && item.kind === 'atom' && item.text === 'lmce') {
      reader.put(hvm('mca_caps'), 1)
      continue
    }
    reader.refuse('mca_caps', '[ "lmce" ]', 'XT_CONFIG_UNKNOWN_WORD')
    return
  }
}

/** PVH and PV boot a kernel, which `firmware` can name. */
function readDirectBoot(reader: Reader): void {
  const firmware = reader.settings.string('firmware')
  if (firmware !== undefined) {
    if (reader.get('b_info', 'kernel') !== undefined) {
      const { value } = reader.settings.get('firmware')!
      reader.problems.error(value.at, value.end, 'XT_CONFIG_CONFLICT', 'firmware', 'kernel')
    } else if (!'pvgrub32'.startsWith(firmware) && !'pvgrub64'.startsWith(firmware)) {
      reader.refuse('firmware', 'pvgrub32 or pvgrub64 for this type of guest')
    }
    reader.put(['b_info', 'kernel'], `${FIRMWARE_DIR}/${firmware}.bin`)
  }
  if (reader.get('b_info', 'kernel') === undefined && reader.get('b_info', 'bootloader') === undefined) {
    reader.problems.error(0, 0, 'XT_CONFIG_NO_KERNEL')
  }
}

function readArm(reader: Reader): void {
  const arm = (name: string) => ['b_info', 'arch_arm', name]
  reader.put(arm('vuart'), reader.word('vuart', ['unknown', 'sbsa_uart']))
  reader.put(
    arm('gic_version'),
    reader.word('gic_version', ['default', 'v2', 'v3'], 'XT_CONFIG_UNKNOWN_WORD'),
  )
  reader.put(['b_info', 'tee'], reader.word('tee', ['none', 'optee', 'ffa'], 'XT_CONFIG_UNKNOWN_WORD'))
  const lengths = ['hw', 'disabled', ...Array.from({ length: 16 }, (_, i) => String(128 * (i + 1)))]
  reader.put(arm('sve_vl'), reader.word('sve', lengths))
  const sci = /(?:^|,)type=([^,]*)/.exec(reader.settings.string('arm_sci') ?? '')?.[1]?.toLowerCase()
  if (sci !== undefined && sci !== 'none' && sci !== 'scmi_smc')
    reader.refuse('arm_sci', 'type=none or type=scmi_smc')
  else if (sci !== undefined) reader.put([...arm('arm_sci'), 'type'], sci)
}
