/**
 * The shared folder on the host. Nothing in it is ever named by a path of more than one word.
 *
 * An entry is an open file descriptor (O_PATH | O_NOFOLLOW) on the very file, directory or link. What is done to it goes
 * through /proc/self/fd/N, a magic link that leads to that file and nowhere else, whatever its name is by now; what is done
 * inside a directory through /proc/self/fd/N/NAME, where NAME is one word and calls do not follow it if it is a symbolic
 * link. So no name, link or rename, by whomever and at whatever moment, leads out of the folder (README.md).
 */

import * as fs from 'node:fs'
import { type BigIntStats, constants, type Dir } from 'node:fs'
import { promisify } from 'node:util'
import { type NativeCalls, type Timespec, UTIME_NOW, UTIME_OMIT } from './native.ts'
import type { Qid } from './protocol.ts'
import { Refusal } from './refusal.ts'

/** Linux' open(2) flag that Node has no name for. */
const O_PATH = 0o10000000
const { O_RDONLY, O_WRONLY, O_RDWR, O_TRUNC, O_APPEND, O_DSYNC, O_SYNC, O_CREAT, O_EXCL } = constants
const { O_NOFOLLOW, O_DIRECTORY, S_IFMT, S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK } = constants
const LONGEST_NAME = 255
const LONGEST_TARGET = 4095
/** Mode bits that a guest may set. GUEST: a program that runs as its owner must not be left on the host. */
const FILE_MODE = 0o1777
const DIRECTORY_MODE = 0o3777

export interface FolderOptions {
  readonly readOnly: boolean
  /** Files and directories of the host that may be open at a time. */
  readonly maxOpen: number
  readonly native: NativeCalls | undefined
}

/** Who a new file belongs to, where the host lets us say so. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** How a file is opened: what of 9P2000.L's flags has a meaning for us. */
export interface OpenHow {
  readonly access: 'read' | 'write' | 'both'
  readonly truncate: boolean
  readonly append: boolean
  /** Writes are on the disk when they are answered: with all that belongs to the file, or its data. */
  readonly sync: 'no' | 'data' | 'all'
}

/** A change of attributes; what is absent stays. */
export interface Change {
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly size?: bigint
  readonly access?: Timespec | 'now'
  readonly modification?: Timespec | 'now'
}

/** What all entries of a folder share. */
class Shared {
  readonly options: FolderOptions
  readonly isRoot = process.geteuid?.() === 0
  open = 0
  readonly #devices = new Map<bigint, bigint>()

  constructor(options: FolderOptions) {
    this.options = options
  }
  take(): void {
    if (this.open >= this.options.maxOpen) throw new Refusal('EMFILE')
    this.open++
  }
  /** @throws Refusal EROFS */
  mustBeWritable(): void {
    if (this.options.readOnly) throw new Refusal('EROFS')
  }
  /** A number for each file system below the folder: their inode numbers may be alike. */
  device(dev: bigint): bigint {
    let number = this.#devices.get(dev)
    if (number === undefined) {
      number = BigInt(this.#devices.size)
      this.#devices.set(dev, number)
    }
    return number
  }
}

/** @throws what the host says of the path */
export function openFolder(path: string, options: FolderOptions): Entry {
  const shared = new Shared(options)
  shared.take()
  return new Entry(shared, fs.openSync(path, O_PATH | O_DIRECTORY))
}

/** A file, directory, link or something else inside the folder. Held until every holder has let it go. */
export class Entry {
  readonly #shared: Shared
  readonly #fd: number
  readonly #target: string | undefined
  /** S_IF*: never changes for an inode. */
  readonly #type: number
  #holders = 1

  /** The descriptor is ours from then on. */
  constructor(shared: Shared, fd: number, target?: string) {
    this.#shared = shared
    this.#fd = fd
    this.#target = target
    this.#type = fs.fstatSync(fd).mode & S_IFMT
  }

  hold(): this {
    this.#holders++
    return this
  }
  release(): void {
    if (--this.#holders > 0) return
    this.#shared.open--
    fs.closeSync(this.#fd)
  }
  /** Descriptors of the host that are open below this folder. */
  get openInFolder(): number {
    return this.#shared.open
  }

  get isDirectory(): boolean {
    return this.#type === S_IFDIR
  }
  get isFile(): boolean {
    return this.#type === S_IFREG
  }

  attributes(): BigIntStats {
    return fs.fstatSync(this.#fd, { bigint: true })
  }
  qid(stats = this.attributes()): Qid {
    const type = this.isDirectory ? 0x80 : this.#type === S_IFLNK ? 0x02 : 0
    return { type, ...this.#identity(stats) }
  }
  #identity({ ino, dev, mtimeMs, size }: BigIntStats): Omit<Qid, 'type'> {
    return {
      version: Number(BigInt.asUintN(32, mtimeMs ^ (size << 8n))),
      path: BigInt.asUintN(64, ino ^ (this.#shared.device(dev) << 48n)),
    }
  }
  /** Of what a directory contains, without opening it. */
  qidOf(name: string): { readonly qid: Qid; readonly type: number } {
    const stats = fs.lstatSync(this.#inside(name), { bigint: true })
    const type = Number(stats.mode) & S_IFMT
    const qidType = type === S_IFDIR ? 0x80 : type === S_IFLNK ? 0x02 : 0
    // DT_* are the type's bits.
    return { qid: { type: qidType, ...this.#identity(stats) }, type: type >> 12 }
  }

  /** Leads to this very file. Only for calls on what is no symbolic link, or that do not follow a second one. */
  get #itself(): Buffer {
    return Buffer.from(`/proc/self/fd/${this.#fd}`)
  }
  /** GUEST: a name is one word of this directory, and never leads up. */
  #inside(name: string): Buffer {
    if (!this.isDirectory) throw new Refusal('ENOTDIR')
    if (name.length > LONGEST_NAME) throw new Refusal('ENAMETOOLONG')
    if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) throw new Refusal('EINVAL')
    return Buffer.from(`/proc/self/fd/${this.#fd}/${name}`, 'latin1')
  }

  child(name: string): Entry {
    const path = this.#inside(name)
    this.#shared.take()
    let fd = -1
    try {
      fd = fs.openSync(path, O_PATH | O_NOFOLLOW)
      const stats = fs.fstatSync(fd)
      return new Entry(this.#shared, fd, stats.isSymbolicLink() ? this.#readLink(path, fd) : undefined)
    } catch (error) {
      if (fd !== -1) fs.closeSync(fd)
      this.#shared.open--
      throw error
    }
  }

  /** A link never changes, so it is read while its name is at hand: Node cannot read one by its descriptor. */
  #readLink(path: Buffer, fd: number): string {
    const link = fs.fstatSync(fd, { bigint: true })
    const target = fs.readlinkSync(path, 'latin1')
    const named = fs.lstatSync(path, { bigint: true })
    if (named.ino !== link.ino || named.dev !== link.dev) throw new Refusal('ESTALE')
    return target
  }
  /** Where a symbolic link points: for the guest to follow, in its own tree. */
  target(): string {
    if (this.#target === undefined) throw new Refusal('EINVAL')
    return this.#target
  }

  /** Regular files only: opening a device or a pipe of the host would do something. */
  open(how: OpenHow): OpenFile {
    if (this.isDirectory) throw new Refusal('EISDIR')
    if (!this.isFile) throw new Refusal('EOPNOTSUPP')
    if (how.access !== 'read' || how.truncate) this.#shared.mustBeWritable()
    this.#shared.take()
    try {
      return new OpenFile(fs.openSync(this.#itself, openFlags(how)), () => this.#shared.open--)
    } catch (error) {
      this.#shared.open--
      throw error
    }
  }

  /** Opens a file of this directory, new or, unless `exclusive`, one that is there. */
  create(name: string, how: OpenHow, exclusive: boolean, mode: number, owner: Owner) {
    this.#shared.mustBeWritable()
    try {
      return this.#createNew(name, how, mode, owner)
    } catch (error) {
      if (exclusive || (error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const entry = this.child(name)
    try {
      return { entry, file: entry.open(how) }
    } catch (error) {
      entry.release()
      throw error
    }
  }
  #createNew(name: string, how: OpenHow, mode: number, owner: Owner) {
    const path = this.#inside(name)
    this.#shared.take()
    try {
      this.#shared.take()
    } catch (error) {
      this.#shared.open--
      throw error
    }
    let fd = -1
    try {
      // With O_EXCL a link at the last word is not followed but in the way.
      fd = fs.openSync(path, openFlags(how) | O_CREAT | O_EXCL, 0o600)
      this.#own(owner, (uid, gid) => fs.fchownSync(fd, uid, gid))
      fs.fchmodSync(fd, mode & FILE_MODE)
      const entry = new Entry(this.#shared, fs.openSync(`/proc/self/fd/${fd}`, O_PATH))
      return { entry, file: new OpenFile(fd, () => this.#shared.open--) }
    } catch (error) {
      if (fd !== -1) fs.closeSync(fd)
      this.#shared.open -= 2
      throw error
    }
  }

  makeDirectory(name: string, mode: number, owner: Owner): Qid {
    this.#shared.mustBeWritable()
    fs.mkdirSync(this.#inside(name), 0o700)
    return this.#finish(name, owner, mode & DIRECTORY_MODE)
  }
  makeLink(name: string, target: string, owner: Owner): Qid {
    this.#shared.mustBeWritable()
    if (target === '' || target.includes('\0')) throw new Refusal('EINVAL')
    if (target.length > LONGEST_TARGET) throw new Refusal('ENAMETOOLONG')
    fs.symlinkSync(Buffer.from(target, 'latin1'), this.#inside(name))
    return this.#finish(name, owner)
  }
  /** A named pipe, a socket or an empty file. GUEST: no device of the host can be made. */
  makeNode(name: string, mode: number, owner: Owner): Qid {
    this.#shared.mustBeWritable()
    const type = mode & S_IFMT
    if (type === S_IFREG || type === 0) {
      const how = { access: 'write', truncate: false, append: false, sync: 'no' } as const
      const { entry, file } = this.#createNew(name, how, mode, owner)
      file.close()
      const qid = entry.qid()
      entry.release()
      return qid
    }
    if (type !== S_IFIFO && type !== S_IFSOCK) throw new Refusal('EPERM')
    this.#native().makeNode(this.#inside(name), type | 0o600)
    return this.#finish(name, owner, mode & FILE_MODE)
  }
  /** Owner and mode of what was just made. */
  #finish(name: string, owner: Owner, mode?: number): Qid {
    const made = this.child(name)
    try {
      this.#own(owner, (uid, gid) => fs.chownSync(made.#itself, uid, gid))
      // Somebody else may have put a link in its place.
      if (mode !== undefined && made.#type !== S_IFLNK) fs.chmodSync(made.#itself, mode)
      return made.qid()
    } finally {
      made.release()
    }
  }
  /** Only root can give files away; for others they are the user's, as with QEMU's `none`. */
  #own({ uid, gid }: Owner, change: (uid: number, gid: number) => void): void {
    if (this.#shared.isRoot) change(uid, gid)
  }
  #native(): NativeCalls {
    if (this.#shared.options.native === undefined) throw new Refusal('EOPNOTSUPP')
    return this.#shared.options.native
  }

  /** Another name for `file`, here. */
  addName(file: Entry, name: string): void {
    this.#shared.mustBeWritable()
    this.#native().link(file.#itself, this.#inside(name))
  }
  rename(name: string, to: Entry, newName: string): void {
    this.#shared.mustBeWritable()
    fs.renameSync(this.#inside(name), to.#inside(newName))
  }
  remove(name: string, isDirectory: boolean): void {
    this.#shared.mustBeWritable()
    if (isDirectory) fs.rmdirSync(this.#inside(name))
    else fs.unlinkSync(this.#inside(name))
  }

  change(change: Change): void {
    this.#shared.mustBeWritable()
    const { mode, uid, gid, size } = change
    if (mode !== undefined) {
      if (this.#type === S_IFLNK) throw new Refusal('EOPNOTSUPP')
      fs.chmodSync(this.#itself, mode & (this.isDirectory ? DIRECTORY_MODE : FILE_MODE))
    }
    if (uid !== undefined || gid !== undefined) {
      const now = this.attributes()
      fs.chownSync(this.#itself, uid ?? Number(now.uid), gid ?? Number(now.gid))
    }
    if (size !== undefined) this.#truncate(size)
    if (change.access !== undefined || change.modification !== undefined) this.#setTimes(change)
  }
  #truncate(size: bigint): void {
    if (!this.isFile) throw new Refusal(this.isDirectory ? 'EISDIR' : 'EINVAL')
    const file = this.open({ access: 'write', truncate: false, append: false, sync: 'no' })
    try {
      file.truncate(position(size))
    } finally {
      file.close()
    }
  }
  /** Without koffi the host's times are exact to the microsecond. */
  #setTimes({ access, modification }: Change): void {
    const { native } = this.#shared.options
    if (native !== undefined) {
      native.setTimes(this.#itself, timespec(access), timespec(modification))
      return
    }
    const now = this.attributes()
    const seconds = (time: Change['access'], present: bigint) => {
      if (time === undefined) return Number(present) / 1e9
      return time === 'now' ? Date.now() / 1000 : Number(time[0]) + Number(time[1]) / 1e9
    }
    fs.utimesSync(this.#itself, seconds(access, now.atimeNs), seconds(modification, now.mtimeNs))
  }

  /** Names in this directory, from the first on. */
  list(): Listing {
    if (!this.isDirectory) throw new Refusal('ENOTDIR')
    this.#shared.take()
    try {
      return new Listing(fs.opendirSync(this.#itself, { encoding: 'latin1' }), () => this.#shared.open--)
    } catch (error) {
      this.#shared.open--
      throw error
    }
  }

  fileSystem(): fs.BigIntStatsFs {
    return fs.statfsSync(this.#itself, { bigint: true })
  }
  /** A directory's own names, on the disk. */
  async sync(): Promise<void> {
    const fd = fs.openSync(this.#itself, O_RDONLY | O_DIRECTORY)
    try {
      await promisify(fs.fsync)(fd)
    } finally {
      fs.closeSync(fd)
    }
  }
}

/** A regular file open for reading or writing. */
export class OpenFile {
  readonly #fd: number
  readonly #closed: () => void
  #users = 1

  constructor(fd: number, closed: () => void) {
    this.#fd = fd
    this.#closed = closed
  }
  /** Bytes read; 0 at the end. */
  read(into: Uint8Array, offset: bigint): number {
    return fs.readSync(this.#fd, into, 0, into.length, position(offset))
  }
  /** Bytes written, all unless the host has no room for the rest. */
  write(bytes: Uint8Array, offset: bigint): number {
    return fs.writeSync(this.#fd, bytes, 0, bytes.length, position(offset))
  }
  truncate(size: number): void {
    fs.ftruncateSync(this.#fd, size)
  }
  async sync(dataOnly: boolean): Promise<void> {
    this.#users++
    try {
      await promisify(dataOnly ? fs.fdatasync : fs.fsync)(this.#fd)
    } finally {
      this.close()
    }
  }
  /** The descriptor stays until what is under way has ended: its number must not come to mean another file. */
  close(): void {
    if (--this.#users > 0) return
    this.#closed()
    fs.closeSync(this.#fd)
  }
}

/** A directory being read. Does not hold more than a few names. */
export class Listing {
  readonly #dir: Dir
  readonly #closed: () => void
  #next: string | undefined
  /** Names taken so far. */
  position = 0n

  constructor(dir: Dir, closed: () => void) {
    this.#dir = dir
    this.#closed = closed
  }
  /** The next name, which stays the next until `take`; undefined behind the last. */
  peek(): string | undefined {
    this.#next ??= this.#dir.readSync()?.name
    return this.#next
  }
  take(): void {
    this.#next = undefined
    this.position++
  }
  close(): void {
    this.#closed()
    this.#dir.closeSync()
  }
}

function openFlags({ access, truncate, append, sync }: OpenHow): number {
  const mode = access === 'read' ? O_RDONLY : access === 'write' ? O_WRONLY : O_RDWR
  const syncing = sync === 'all' ? O_SYNC : sync === 'data' ? O_DSYNC : 0
  return mode | (truncate ? O_TRUNC : 0) | (append ? O_APPEND : 0) | syncing
}

/** GUEST: positions are 64 bits wide; what no file has is refused before it is rounded. */
function position(offset: bigint): number {
  if (offset > BigInt(Number.MAX_SAFE_INTEGER)) throw new Refusal('EINVAL')
  return Number(offset)
}

function timespec(time: Change['access']): Timespec {
  if (time === undefined) return [0n, UTIME_OMIT]
  return time === 'now' ? [0n, UTIME_NOW] : time
}
