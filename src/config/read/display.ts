/** Graphics, serial ports, USB and the device model. */
import { readScreens } from './devices.ts'
import type { Reader } from './reader.ts'

const VGA: ReadonlyMap<string, string> = new Map([
  ['stdvga', 'std'],
  ['cirrus', 'cirrus'],
  ['none', 'none'],
  ['qxl', 'qxl'],
])
const DEVICE_MODELS: ReadonlyMap<string, string> = new Map([
  ['qemu-xen', 'qemu_xen'],
  ['qemu-xen-traditional', 'qemu_xen_traditional'],
])

export function readDisplay(reader: Reader): void {
  readDeviceModel(reader)
  if (reader.settings.number('vncviewer') !== undefined)
    reader.deprecated('vncviewer', 'ignored; use create -V')
  if (reader.type !== 'hvm') return
  const { settings } = reader
  const hvm = (...path: readonly string[]) => ['b_info', 'type.hvm', ...path]
  const { vnc, sdl } = readScreens(reader)
  reader.put(hvm('vnc'), vnc)
  reader.put(hvm('sdl'), sdl)
  if (vnc['display'] && String(vnc['listen'] ?? '').includes(':')) {
    const { value } = settings.get('vncdisplay')!
    reader.problems.error(value.at, value.end, 'XT_CONFIG_CONFLICT', 'vncdisplay', 'vnclisten')
  }
  readVga(reader, hvm('vga', 'kind'))
  reader.put(hvm('hdtype'), reader.word('hdtype', ['ide', 'ahci']))
  reader.put(hvm('keymap'), settings.string('keymap'))
  readGraphicsPassthrough(reader, hvm)
  readStrings(reader, 'serial', hvm('serial'))
  readStrings(reader, 'usbdevice', hvm('usbdevice'))
  reader.put(
    hvm('vendor_device'),
    reader.word('vendor_device', ['none', 'xenserver'], 'XT_CONFIG_UNKNOWN_WORD'),
  )
}

function readDeviceModel(reader: Reader): void {
  if (reader.settings.string('device_model') !== undefined) {
    reader.deprecated('device_model', 'ignored; write device_model_override')
  }
  const version = reader.settings.string('device_model_version')
  if (version === undefined) {
    if (reader.settings.string('device_model_override') !== undefined) {
      reader.deprecated('device_model_override', "given without `device_model_version'")
    }
    return
  }
  const word = DEVICE_MODELS.get(version)
  if (word === undefined) reader.refuse('device_model_version', 'qemu-xen')
  reader.put(['b_info', 'device_model_version'], word)
}

function readVga(reader: Reader, path: readonly string[]): void {
  const name = reader.settings.string('vga')
  const kind = VGA.get(name ?? '')
  if (name !== undefined && kind === undefined) reader.refuse('vga', [...VGA.keys()].join(', '))
  const standard = name === undefined ? reader.settings.boolean('stdvga') : undefined
  reader.put(path, kind ?? (standard === undefined ? undefined : standard ? 'std' : 'cirrus'))
}

function readGraphicsPassthrough(
  reader: Reader,
  hvm: (...path: readonly string[]) => readonly string[],
): void {
  const number = reader.quietNumber('gfx_passthru')
  if (number !== undefined) {
    reader.put(hvm('gfx_passthru'), number !== 0n)
    return
  }
  const kind = reader.word('gfx_passthru', ['default', 'igd'])
  reader.put(hvm('gfx_passthru_kind'), kind)
  if (kind !== undefined) reader.put(hvm('gfx_passthru'), true)
}

/** One string, or a list of them, which libxl keeps under another name. */
function readStrings(reader: Reader, key: string, path: readonly string[]): void {
  const value = reader.settings.get(key)?.value
  if (value?.kind === 'atom') reader.put(path, value.text)
  if (value?.kind !== 'list') return
  const items = reader.settings.items(key).map(({ text }) => text)
  reader.put([...path.slice(0, -1), `${path.at(-1)}_list`], items)
}
