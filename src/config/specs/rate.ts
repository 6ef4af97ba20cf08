/**
 * Rates of a vif: `N[GMK]B/s` or `b/s`, then optionally `@INTERVAL` (libxlu_vif.c).
 *
 * XEN: an interval without a unit is in seconds, although the manual says microseconds. Numbers are read with
 * base 0, so a leading zero means octal.
 */
import { numberPrefix, ULONG_MAX } from '../xl/number.ts'
import { accept, refuse, type SpecFault, type SpecResult } from './fault.ts'

export interface Rate {
  /** May be 0 for tiny rates. */
  readonly bytesPerInterval: bigint
  readonly intervalUs: number
}

const RATE = /^[0-9]+[GMK]?[Bb]\/s$/
const INTERVAL = /^[0-9]+[mu]?s?$/
const UINT32_MAX = 0xffffffffn
const DEFAULT_INTERVAL_US = 50000n
const MULTIPLIER: Readonly<Record<string, bigint>> = { G: 10n ** 9n, M: 10n ** 6n, K: 10n ** 3n }

export function parseRate(spec: string): SpecResult<Rate> {
  const at = spec.indexOf('@')
  const text = at < 0 ? spec : spec.slice(0, at)
  if (text === '') return fault('no rate specified', spec, 0)
  if (!RATE.test(text))
    return fault('invalid rate', text, 0, 'A rate is written like 10Mb/s (bits) or 500KB/s (bytes).')
  const bytesPerSecond = readRate(text)
  if (bytesPerSecond === undefined) return fault('rate overflow', text, 0)
  if (at < 0) return perInterval(spec, bytesPerSecond, DEFAULT_INTERVAL_US, [])
  const interval = spec.slice(at + 1)
  if (!INTERVAL.test(interval))
    return fault(
      'invalid replenishment interval',
      interval,
      at + 1,
      'An interval is written like 50ms or 250us.',
    )
  const intervalUs = readInterval(interval)
  if (intervalUs === undefined) return fault('replenishment interval overflow', interval, at + 1)
  const doubt = {
    message: 'an interval without a unit is in seconds',
    near: interval,
    at: at + 1,
    hint: 'Write the unit: us, ms or s.',
  }
  return perInterval(spec, bytesPerSecond, intervalUs, /[0-9]$/.test(interval) ? [doubt] : [])
}

function fault(message: string, near: string, at: number, hint?: string): SpecResult<Rate> {
  const what: SpecFault = { message, near, at, ...(hint === undefined ? {} : { hint }) }
  return refuse(what)
}

function readRate(text: string): bigint | undefined {
  const { value, length } = numberPrefix(text, 0)
  if (value === 0n || value > UINT32_MAX) return undefined
  const bytes = value * (MULTIPLIER[text[length]!] ?? 1n)
  return text[length] === 'b' || text[length + 1] === 'b' ? bytes / 8n : bytes
}

function readInterval(text: string): bigint | undefined {
  const { value, length } = numberPrefix(text, 0)
  if (value === 0n) return undefined
  const unit = text[length]
  const interval = value * (unit === undefined || unit === 's' ? 1_000_000n : unit === 'm' ? 1000n : 1n)
  return interval > UINT32_MAX ? undefined : interval
}

function perInterval(
  spec: string,
  bytesPerSecond: bigint,
  intervalUs: bigint,
  warnings: readonly SpecFault[],
): SpecResult<Rate> {
  if (bytesPerSecond > ULONG_MAX / intervalUs) return fault('rate overflow', spec, 0)
  const bytesPerInterval = (bytesPerSecond * intervalUs) / 1_000_000n
  return accept({ bytesPerInterval, intervalUs: Number(intervalUs) }, warnings)
}
