/** What a process used so far, from Linux' /proc. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { type MachineLayout, PAGE_SIZE } from '../../src/base/machine-memory.ts'

/** Linux shows times in these units to programs, whatever its own tick is. */
const CLOCK_TICKS_PER_SECOND = 100
/** proc(5), stat: fields counted from the one behind the name. */
const [UTIME, CUTIME] = [11, 13]
/** Documentation/admin-guide/mm/pagemap.rst: bit 63 of an entry says that the page is present, bit 62 swapped. */
const PAGE_IS_HELD = 0xc0

/** CPU seconds of a process with all its threads; of its ended children too, if asked for. Resolution 10 ms. */
export function cpuSeconds(pid: number | 'self', which: 'own' | 'children' = 'own'): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const first = which === 'own' ? UTIME : CUTIME
  return (Number(fields[first]) + Number(fields[first + 1])) / CLOCK_TICKS_PER_SECOND
}

/** Resident size in bytes. */
export function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
}

/**
 * Bytes of guest RAM that have host memory behind them: what the guest, or the builder for it, ever touched.
 * The machine's memory is found as the one mapping that is as long as its layout says.
 */
export function touchedRam(pid: number, layout: MachineLayout): number {
  const start = mappingOf(pid, layout.totalBytes)
  const pages = layout.ramBytes / PAGE_SIZE
  const entries = Buffer.alloc(pages * 8)
  const file = openSync(`/proc/${pid}/pagemap`, 'r')
  try {
    readSync(file, entries, 0, entries.length, ((start + layout.ram) / PAGE_SIZE) * 8)
  } finally {
    closeSync(file)
  }
  let held = 0
  for (let i = 0; i < pages; i++) if ((entries[i * 8 + 7]! & PAGE_IS_HELD) !== 0) held++
  return held * PAGE_SIZE
}

/** Where the writable mapping of this length starts. */
function mappingOf(pid: number, bytes: number): number {
  for (const [, from, to] of readFileSync(`/proc/${pid}/maps`, 'utf8').matchAll(/^(\w+)-(\w+) rw/gm)) {
    const start = Number.parseInt(from!, 16)
    if (Number.parseInt(to!, 16) - start === bytes) return start
  }
  throw new Error(`process ${pid} has no mapping of ${bytes} bytes`)
}
