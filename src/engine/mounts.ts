/** Takes away what is mounted below a directory: images that a dead domain's helpers showed through FUSE. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Never throws: what stays mounted shows when the directory is removed. */
export function unmountBelow(directory: string): void {
  for (const point of mountPoints()) {
    if (!point.startsWith(`${directory}/`)) continue
    for (const [program, ...args] of [
      ['fusermount3', '-u', '-z', point],
      ['umount', '-l', point],
    ] as const) {
      try {
        execFileSync(program, args, { stdio: 'ignore' })
        break
      } catch {
        // The other one perhaps.
      }
    }
  }
}

/** Blanks and the like are written as octal. */
function mountPoints(): string[] {
  try {
    const lines = readFileSync('/proc/self/mountinfo', 'utf8').trimEnd().split('\n')
    return lines.map((line) =>
      (line.split(' ')[4] ?? '').replace(/\\(\d{3})/g, (_, code: string) =>
        String.fromCharCode(Number.parseInt(code, 8)),
      ),
    )
  } catch {
    return []
  }
}
