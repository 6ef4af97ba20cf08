/**
 * Gives bytes of a file or block device back to the host: fallocate(2), which Node does not have. It is called through
 * koffi, an optional dependency; without it disks simply do not offer discard.
 */

/** From then on the bytes read as zeroes. Throws what the host says, EOPNOTSUPP where it cannot. */
export type PunchHole = (fd: number, position: number, length: number) => void

const FALLOC_FL_KEEP_SIZE = 1
const FALLOC_FL_PUNCH_HOLE = 2

export async function loadPunchHole(): Promise<PunchHole | undefined> {
  try {
    const { default: koffi } = await import('koffi')
    const fallocate = koffi.load('libc.so.6').func('int fallocate(int, int, int64_t, int64_t)')
    return (fd, position, length) => {
      if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, position, length) === 0) return
      const errno = koffi.errno()
      const code = errno === koffi.os.errno.EOPNOTSUPP ? 'EOPNOTSUPP' : `errno ${errno}`
      throw Object.assign(new Error(`fallocate: ${code}`), { code })
    }
  } catch {
    return undefined
  }
}
