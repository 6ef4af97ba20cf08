/** Pieces of the host given to a guest: `ioports`, `irqs`, `iomem`, `llc_colors`. libxl's structures, its names. */
import type { LibxlObject } from '../libxl-config.ts'
import { ULONG_MAX, unsignedLong } from '../xl/number.ts'
import { accept, refuse, type SpecResult } from './fault.ts'

const UINT32_MAX = 0xffffffffn

/** `2f8-2ff` or `3f8`, hexadecimal. XEN: a range backwards comes out as nearly 2^32 ports; with a warning here. */
export function parseIoports(spec: string): SpecResult<LibxlObject> {
  const wrong = (message: string) =>
    refuse<LibxlObject>({ message, near: spec, at: 0, hint: 'Ports are hexadecimal: 2f8-2ff.' })
  const first = unsignedLong(spec, 16)
  if (first.length === 0) return wrong('not a port')
  if (first.value >= UINT32_MAX) return wrong('port too big')
  const rest = spec.slice(first.length)
  if (!rest.startsWith('-')) {
    const doubt = { message: 'what follows the port is ignored', near: rest, at: first.length }
    return accept({ first: Number(first.value), number: 1 }, rest === '' ? [] : [doubt])
  }
  const last = unsignedLong(rest.slice(1), 16)
  if (last.length === 0 || last.length !== rest.length - 1) return wrong('not a range of ports')
  if (last.value >= UINT32_MAX) return wrong('port too big')
  const number = Number(BigInt.asUintN(32, last.value - first.value + 1n))
  const doubt = { message: 'the range runs backwards', near: spec, at: 0 }
  return accept({ first: Number(first.value), number }, last.value < first.value ? [doubt] : [])
}

export function parseIrq(spec: string): SpecResult<number> {
  const { value, length } = unsignedLong(spec, 10)
  if (length === 0 || length !== spec.length)
    return refuse({ message: 'not a decimal number', near: spec, at: 0 })
  if (value >= UINT32_MAX) return refuse({ message: 'too big', near: spec, at: 0 })
  return accept(Number(value))
}

/** `START,COUNT[@GFN]`, hexadecimal page numbers; what 64 bits cannot hold is the most that they can. */
export function parseIomem(spec: string): SpecResult<LibxlObject> {
  const numbers: bigint[] = []
  let rest = spec
  for (const before of ['', ',', '@']) {
    if (before === '@' && rest === '') break
    const { value, length } = unsignedLong(rest.slice(before.length), 16)
    if (!rest.startsWith(before) || length === 0)
      return refuse({ message: 'not of the form START,COUNT[@GFN]', near: spec, at: 0 })
    numbers.push(value)
    rest = rest.slice(before.length + length)
  }
  if (rest !== '') return refuse({ message: 'not of the form START,COUNT[@GFN]', near: spec, at: 0 })
  const [start, number, gfn = ULONG_MAX] = numbers as [bigint, bigint, bigint?]
  // libxl's mark for "the same as START".
  return accept({ start, number, ...(gfn === ULONG_MAX ? {} : { gfn }) })
}

/** `2-5` or `7`, decimal; the colours in order. */
export function parseLlcColors(spec: string): SpecResult<readonly number[]> {
  const match = /^\s*([0-9]{1,4})(?:-([0-9]{1,4}))?/.exec(spec)
  const first = Number(match?.[1])
  const last = Number(match?.[2] ?? match?.[1])
  if (match === null || last < first) return refuse({ message: 'not a range of colours', near: spec, at: 0 })
  return accept(Array.from({ length: last - first + 1 }, (_, i) => first + i))
}
