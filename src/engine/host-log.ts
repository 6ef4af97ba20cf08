/**
 * The hypervisor's log, as `xt dmesg` shows it: the logs of all domains of this user in the order of time.
 *
 * As Xen's ring, it is not endless: of each file only the last part is read. Clearing it removes nothing, it remembers
 * since when lines are shown.
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { names } from './domains.ts'
import { logDir, type XtPaths } from './paths.ts'

export interface HostLogLine {
  /** ISO 8601, as in the file. */
  readonly time: string
  /** Name with which the domain was created, as its file spells it. */
  readonly domain: string
  readonly level: string
  /** Further lines, such as those of a stack, are part of it. */
  readonly text: string
}

/** The last part of a file that is read. */
const TAIL_BYTES = 256 << 10
const LINE = /^(\d{4}-\d\d-\d\dT[\d:.]+Z) (\w+) +(.*)$/

/** All lines since the log was cleared, the oldest first. */
export function readHostLog(paths: XtPaths): readonly HostLogLine[] {
  const since = clearedAt(paths)
  return names(logDir(paths))
    .flatMap((file) => {
      const domain = /^(.*)\.log(?:\.1)?$/.exec(file)?.[1]
      return domain === undefined ? [] : parse(tail(join(logDir(paths), file)), domain)
    })
    .filter(({ time }) => time > since)
    .sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0))
}

export function clearHostLog(paths: XtPaths, now: Date): void {
  writeFileSync(clearedFile(paths), now.toISOString(), { mode: 0o600 })
}

const clearedFile = (paths: XtPaths) => join(logDir(paths), 'cleared')

function clearedAt(paths: XtPaths): string {
  try {
    return readFileSync(clearedFile(paths), 'utf8')
  } catch {
    return ''
  }
}

function tail(path: string): string {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch {
    // Renamed or removed since the directory was read.
    return ''
  }
  try {
    const { size } = fstatSync(file)
    const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES))
    const length = readSync(file, bytes, 0, bytes.length, size - bytes.length)
    return bytes.toString('utf8', 0, length)
  } finally {
    closeSync(file)
  }
}

function parse(text: string, domain: string): HostLogLine[] {
  const lines: { time: string; domain: string; level: string; text: string }[] = []
  for (const line of text.split('\n')) {
    const found = LINE.exec(line)
    const last = lines.at(-1)
    if (found !== null) lines.push({ time: found[1]!, domain, level: found[2]!, text: found[3]! })
    else if (last !== undefined && line !== '') last.text += `\n${line}`
  }
  return lines
}
