/**
 * Whether somebody still reads standard output. A write would tell (EPIPE), but `xt console -r guest | head -1` may have
 * nothing to write for hours. Node does not look without a write: poll(2) is called through koffi, an optional
 * dependency; without it such a command ends with its next line.
 */
import { fstatSync } from 'node:fs'

/** How often it is asked: often enough to seem at once. */
const LOOK_MS = 100
const STDOUT = 1
const POLLERR = 0x8
const POLLHUP = 0x10

/**
 * From now on the end of the reader is an error of standard output, as if something had been written (main.ts ends the
 * command). Nothing happens where nobody can go away: a terminal, a file.
 */
export async function watchOutputReader(): Promise<void> {
  const stdout = fstatSync(STDOUT)
  if (!stdout.isFIFO() && !stdout.isSocket()) return
  const poll = await loadPoll()
  if (poll === undefined) return
  // struct pollfd: fd, events, revents. Without events only the end is told.
  const pollfd = new DataView(new ArrayBuffer(8))
  pollfd.setInt32(0, STDOUT, true)
  const timer = setInterval(() => {
    poll(pollfd)
    if ((pollfd.getInt16(6, true) & (POLLERR | POLLHUP)) === 0) return
    clearInterval(timer)
    process.stdout.destroy(Object.assign(new Error('nobody reads standard output'), { code: 'EPIPE' }))
  }, LOOK_MS).unref()
}

async function loadPoll(): Promise<((pollfd: DataView) => void) | undefined> {
  try {
    const { default: koffi } = await import('koffi')
    const poll = koffi.load(null).func('int poll(void *, unsigned long, int)')
    return (pollfd) => poll(new Uint8Array(pollfd.buffer), 1, 0)
  } catch {
    return undefined
  }
}
