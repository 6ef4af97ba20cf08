/**
 * Locks on images, so that two programs never write one: the locks that QEMU takes (block/file-posix.c), so that its
 * programs and ours see one another. They belong to the open file and go with it, also where a process is killed.
 *
 * Byte 100 + n says that permission n is used, byte 200 + n that it is shared with nobody. All of these are read locks;
 * a conflict is seen by asking whether a write lock would be granted. fcntl is called through koffi; without it, or
 * on a file system without locks, images are not locked.
 */
import { fstatSync, readdirSync, readFileSync, statSync } from 'node:fs'

const USED = 100
const UNSHARED = 200
/** QEMU's permissions: to read consistent data, to write, to resize. */
const PERMISSION = { read: 0, write: 1, resize: 3 } as const
const WRITER = {
  uses: [PERMISSION.read, PERMISSION.write, PERMISSION.resize],
  forbids: [PERMISSION.write, PERMISSION.resize],
}
/** XEN: a reader lets others write, as Xen's backends do; QEMU's do not. */
const READER = { uses: [PERMISSION.read], forbids: [] }

/** fcntl.h: locks of an open file. */
const F_OFD_GETLK = 36
const F_OFD_SETLK = 37
const F_RDLCK = 0
const F_WRLCK = 1
const F_UNLCK = 2
/** struct flock: l_type, l_start and l_len. */
const FLOCK_BYTES = 32
const L_START = 8
const L_LEN = 16

export type LockImage = (fd: number, access: 'ro' | 'rw') => 'locked' | 'taken' | 'impossible'

/** Undefined without koffi. */
export async function loadImageLock(): Promise<LockImage | undefined> {
  let fcntl: (fd: number, command: number, flock: Uint8Array) => number
  try {
    const { default: koffi } = await import('koffi')
    const call = koffi.load('libc.so.6').func('int fcntl(int, int, ...)')
    fcntl = (fd, command, flock) => call(fd, command, 'void *', flock)
  } catch {
    return undefined
  }
  const flock = (type: number, at: number): Uint8Array => {
    const bytes = new Uint8Array(FLOCK_BYTES)
    const view = new DataView(bytes.buffer)
    view.setInt16(0, type, true)
    view.setBigInt64(L_START, BigInt(at), true)
    view.setBigInt64(L_LEN, 1n, true)
    return bytes
  }
  return (fd, access) => {
    const { uses, forbids } = access === 'rw' ? WRITER : READER
    // ORDER: the own locks first: of two that come at the same moment at least one sees the other.
    for (const at of [...uses.map((n) => USED + n), ...forbids.map((n) => UNSHARED + n)])
      if (fcntl(fd, F_OFD_SETLK, flock(F_RDLCK, at)) !== 0) return 'impossible'
    const isTaken = (at: number) => {
      const question = flock(F_WRLCK, at)
      return (
        fcntl(fd, F_OFD_GETLK, question) === 0 && new DataView(question.buffer).getInt16(0, true) !== F_UNLCK
      )
    }
    const conflicts = [...uses.map((n) => UNSHARED + n), ...forbids.map((n) => USED + n)]
    return conflicts.some(isTaken) ? 'taken' : 'locked'
  }
}

/** Who writes a file, or lets nobody write it, beside the descriptor `own`: "xt-domain web (process 812)". For messages. */
export function holdersOf(own: number): string {
  const { dev, ino } = fstatSync(own)
  const found: string[] = []
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const isOurs = Number(pid) === process.pid
    if (isHeldBy(pid, dev, ino, isOurs ? String(own) : ''))
      found.push(isOurs ? 'this domain itself' : nameOf(pid))
  }
  return found.length === 0 ? 'another program' : found.join(' and ')
}

function isHeldBy(pid: string, dev: number, ino: number, but: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      const stats = statSync(`/proc/${pid}/fd/${fd}`, { throwIfNoEntry: false })
      if (fd === but || stats?.dev !== dev || stats.ino !== ino) return false
      const locks = readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8').matchAll(/^lock:.*OFDLCK.* (\d+)$/gm)
      // Who only reads has the first byte.
      return [...locks].some(([, last]) => Number(last) > USED + PERMISSION.read)
    })
  } catch {
    // Another user's, or gone.
    return false
  }
}

function nameOf(pid: string): string {
  const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  return `${words.slice(0, 60)} (process ${pid})`
}
