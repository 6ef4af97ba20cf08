/**
 * The three system calls that a file server needs and Node lacks, through koffi, an optional dependency: linkat(2) on
 * an open file, mknod(2), times in nanoseconds. Paths are bytes.
 */

export interface NativeCalls {
  /** A further name for the file that `from` leads to, also where `from` is a magic link of /proc. */
  link(from: Buffer, to: Buffer): void
  makeNode(path: Buffer, mode: number): void
  /** Seconds and nanoseconds, or UTIME_NOW or UTIME_OMIT as nanoseconds. Follows links. */
  setTimes(path: Buffer, access: Timespec, modification: Timespec): void
}
export type Timespec = readonly [seconds: bigint, nanoseconds: bigint]

export const UTIME_NOW = (1n << 30n) - 1n
export const UTIME_OMIT = (1n << 30n) - 2n

const AT_FDCWD = -100
const AT_SYMLINK_FOLLOW = 0x400

/** Undefined where koffi is not installed. */
export async function loadNativeCalls(): Promise<NativeCalls | undefined> {
  try {
    const { default: koffi } = await import('koffi')
    const libc = koffi.load('libc.so.6')
    const linkat = libc.func('int linkat(int, const uint8_t *, int, const uint8_t *, int)')
    const mknod = libc.func('int mknod(const uint8_t *, uint32_t, uint64_t)')
    const utimensat = libc.func('int utimensat(int, const uint8_t *, const int64_t *, int)')
    const check = (result: number) => {
      if (result !== 0) throw Object.assign(new Error('system call failed'), { errno: -koffi.errno() })
    }
    return {
      link: (from, to) =>
        check(linkat(AT_FDCWD, terminated(from), AT_FDCWD, terminated(to), AT_SYMLINK_FOLLOW)),
      makeNode: (path, mode) => check(mknod(terminated(path), mode, 0)),
      setTimes: (path, access, modification) =>
        check(utimensat(AT_FDCWD, terminated(path), BigInt64Array.of(...access, ...modification), 0)),
    }
  } catch {
    return undefined
  }
}

const terminated = (path: Buffer): Buffer => Buffer.concat([path, Buffer.of(0)])
