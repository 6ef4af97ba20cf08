/** The lists of devices. */
import type { LibxlObject, LibxlValue } from '../libxl-config.ts'
import { parseChannel } from '../specs/channel.ts'
import { parseDisk } from '../specs/disk.ts'
import type { SpecResult } from '../specs/fault.ts'
import { parseVfb, parseVkb } from '../specs/framebuffer.ts'
import { type P9Spec, parseP9 } from '../specs/p9.ts'
import { parsePci, parseRdm } from '../specs/pci.ts'
import { parsePvcalls, parseSmbios, parseVdispl, parseVirtio, parseVtpm } from '../specs/pv-devices.ts'
import { parseIomem, parseIoports, parseIrq, parseLlcColors } from '../specs/ranges.ts'
import { SoundCard } from '../specs/sound.ts'
import { parseUsbController, parseUsbDevice } from '../specs/usb.ts'
import { parseVif } from '../specs/vif.ts'
import { libxlChannel, libxlDisk, libxlNic, libxlP9 } from './libxl-devices.ts'
import type { Reader } from './reader.ts'

export function readDevices(reader: Reader): void {
  const { devices } = reader
  devices.disks = reader.each('disk', parseDisk)
  reader.put(
    ['disks'],
    devices.disks.map(({ spec }) => libxlDisk(spec)),
  )
  devices.vifs = reader.each('vif', parseVif)
  for (const [index, { spec }] of devices.vifs.entries()) spec.devid ??= index
  reader.put(
    ['nics'],
    devices.vifs.map(({ spec }) => libxlNic(spec)),
  )
  if (reader.settings.list('vif2') !== undefined)
    reader.deprecated('vif2', 'netchannel2 is gone from Xen; ignored')
  readShares(reader)
  devices.channels = reader.each('channel', parseChannel)
  reader.put(
    ['channels'],
    devices.channels.map(({ spec }, index) => libxlChannel(spec, index)),
  )
  readFramebuffers(reader)
  for (const [key, field, parse] of NUMBERED) {
    reader.put(
      [field],
      reader.each(key, parse).map(({ spec }, devid) => ({ devid, ...spec })),
    )
  }
  reader.put(
    ['usbdevs'],
    reader.each('usbdev', parseUsbDevice).map(({ spec }) => spec),
  )
  reader.put(
    ['dtdevs'],
    reader.settings.items('dtdev').map(({ text }) => ({ path: text })),
  )
  readSound(reader)
  readPci(reader)
  readHostPieces(reader)
}

const NUMBERED: readonly (readonly [
  key: string,
  field: string,
  parse: (text: string) => SpecResult<LibxlObject>,
])[] = [
  ['vtpm', 'vtpms', parseVtpm],
  ['vdispl', 'vdispls', parseVdispl],
  ['pvcalls', 'pvcallsifs', parsePvcalls],
  ['usbctrl', 'usbctrls', parseUsbController],
  ['virtio', 'virtios', parseVirtio],
]

function readShares(reader: Reader): void {
  let before: P9Spec | undefined
  const parse = (text: string) => {
    const result = parseP9(text, before)
    before = result.value ?? before
    return result
  }
  reader.devices.p9 = reader.each('p9', parse)
  reader.put(
    ['p9s'],
    reader.devices.p9.map(({ spec }) => libxlP9(spec)),
  )
}

/** Each framebuffer brings a keyboard; the keyboards of `vkb` follow. */
function readFramebuffers(reader: Reader): void {
  const vfbs: LibxlObject[] = reader.each('vfb', parseVfb).map(({ spec }) => spec)
  // For PV guests the top-level keys make a framebuffer, unless there is one.
  if (reader.type === 'pv' && vfbs.length === 0 && reader.settings.boolean('vnc') === true) {
    const keymap = reader.settings.string('keymap')
    vfbs.push({ ...readScreens(reader), ...(keymap === undefined ? {} : { keymap }) })
  }
  const vkbs: LibxlObject[] = [
    ...vfbs.map(() => ({})),
    ...reader.each('vkb', parseVkb).map(({ spec }) => spec),
  ]
  reader.put(
    ['vfbs'],
    vfbs.map((vfb, devid) => ({ devid, ...vfb })),
  )
  reader.put(
    ['vkbs'],
    vkbs.map((vkb, devid) => ({ devid, ...vkb })),
  )
}

/** The top-level keys for VNC and SDL. */
export function readScreens({ settings }: Reader): { readonly vnc: LibxlObject; readonly sdl: LibxlObject } {
  const display = settings.number('vncdisplay')
  const members = (entries: readonly (readonly [string, LibxlValue | undefined])[]): LibxlObject =>
    Object.fromEntries(entries.filter(([, value]) => value !== undefined))
  return {
    vnc: members([
      ['enable', settings.boolean('vnc')],
      ['listen', settings.string('vnclisten')],
      ['passwd', settings.string('vncpasswd')],
      ['display', display === undefined ? undefined : Number(BigInt.asIntN(32, display))],
      ['findunused', settings.boolean('vncunused')],
    ]),
    sdl: members([
      ['enable', settings.boolean('sdl')],
      ['opengl', settings.boolean('opengl')],
      ['display', settings.string('display')],
      ['xauthority', settings.string('xauthority')],
    ]),
  }
}

function readSound(reader: Reader): void {
  const cards: LibxlObject[] = []
  for (const entry of reader.settings.list('vsnd')?.items ?? []) {
    if (entry.kind === 'atom') {
      reader.problems.error(entry.at, entry.end, 'XT_CONFIG_VALUE', 'vsnd', entry.text, 'lists of strings')
      return
    }
    const card = new SoundCard()
    for (const item of entry.items) if (item.kind === 'atom') reader.take('vsnd', item, card.add(item.text))
    cards.push({ devid: cards.length, ...card.finish() })
  }
  reader.put(['vsnds'], cards)
}

function readPci(reader: Reader): void {
  // XEN: for other guests than HVM the policy lies in zeroed memory, and 0 is strict.
  const defaults: LibxlObject = reader.type === 'hvm' ? {} : { rdm_policy: 'strict' }
  for (const name of ['permissive', 'msitranslate', 'seize', 'power_mgmt']) {
    const value = reader.settings.number(`pci_${name}`)
    if (value !== undefined) defaults[name] = value !== 0n
  }
  const devices: LibxlObject[] = []
  for (const item of reader.settings.items('pci')) {
    const device = reader.take('pci', item, parsePci(item.text, defaults), 'XT_CONFIG_PCI')
    if (device !== undefined) devices.push(device)
  }
  reader.put(['pcidevs'], devices)
  if (reader.type === 'pv' && devices.length > 0) reader.put(['b_info', 'type.pv', 'e820_host'], true)
  const rdm = reader.settings.atom('rdm')
  if (rdm === undefined) return
  const { value, warnings, faults } = parseRdm(rdm.text)
  // XEN: what cannot be read is ignored.
  reader.take('rdm', rdm, { faults: [], warnings: [...faults, ...warnings] })
  if (value !== undefined && reader.type === 'hvm') reader.put(['b_info', 'type.hvm', 'rdm'], value)
}

function readHostPieces(reader: Reader): void {
  const pieces = <T extends LibxlValue>(
    key: string,
    parse: (text: string) => SpecResult<T>,
  ): readonly T[] => {
    for (const item of reader.settings.list(key)?.items ?? []) {
      if (item.kind === 'list') reader.problems.error(item.at, item.at + 1, 'XT_CONFIG_NESTED_LIST', key)
    }
    return reader.each(key, parse).map(({ spec }) => spec)
  }
  reader.put(['b_info', 'ioports'], pieces('ioports', parseIoports))
  reader.put(['b_info', 'irqs'], pieces('irqs', parseIrq))
  reader.put(['b_info', 'iomem'], pieces('iomem', parseIomem))
  reader.put(['b_info', 'llc_colors'], pieces('llc_colors', parseLlcColors).flat())
  if (reader.type === 'hvm') reader.put(['b_info', 'type.hvm', 'smbios'], pieces('smbios', parseSmbios))
}
