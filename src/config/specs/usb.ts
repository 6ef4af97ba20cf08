/** USB controllers and devices (`usbctrl`, `usbdev`). The results are libxl's structures, its names. */
import type { LibxlObject } from '../libxl-config.ts'
import { toInt } from '../xl/number.ts'
import { accept, refuse, type SpecFault, type SpecResult } from './fault.ts'
import { option, tokens, wordIn } from './tokens.ts'

export function parseUsbController(spec: string): SpecResult<LibxlObject> {
  const controller: LibxlObject = {}
  for (const token of tokens(spec)) {
    const part = option(token)
    if (part?.key === 'type') {
      const type = wordIn(['auto', 'pv', 'devicemodel', 'qusb'], part.value)
      if (type === undefined) {
        return refuse({
          message: 'unknown type',
          near: token.text,
          at: token.at,
          hint: 'Known: auto pv devicemodel qusb.',
        })
      }
      controller['type'] = type
    } else if (part?.key === 'version' || part?.key === 'ports') controller[part.key] = toInt(part.value)
    else return refuse({ message: 'unknown option', near: token.text, at: token.at })
  }
  return accept(controller)
}

/** XEN: without `type=hostdev` libxl forgets bus and address; they stay in `host` here, for a warning. */
export function parseUsbDevice(spec: string): SpecResult<LibxlObject> {
  const device: LibxlObject = {}
  const host: LibxlObject = {}
  let isHostdev = false
  for (const token of tokens(spec)) {
    const part = option(token)
    if (part?.key === 'type') {
      if (wordIn(['hostdev'], part.value) === undefined) {
        return refuse({ message: 'unknown type', near: token.text, at: token.at, hint: 'Known: hostdev.' })
      }
      isHostdev = true
    } else if (part?.key === 'hostbus' || part?.key === 'hostaddr')
      host[part.key] = toInt(part.value, 0) & 0xff
    else if (part?.key === 'controller') device['ctrl'] = toInt(part.value)
    else if (part?.key === 'port') device['port'] = toInt(part.value)
    else return refuse({ message: 'unknown option', near: token.text, at: token.at })
  }
  if (isHostdev) device['type.hostdev'] = host
  const doubt: SpecFault = {
    message: 'without type=hostdev the address is lost',
    near: spec,
    at: 0,
    hint: 'Add type=hostdev.',
  }
  return accept(device, isHostdev ? [] : [doubt])
}
