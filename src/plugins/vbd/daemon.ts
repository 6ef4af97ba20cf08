/**
 * An image that only QEMU understands, as a file: one qemu-storage-daemon for each disk shows it through FUSE.
 *
 * The daemon ends with this process, however that ends (setpriv --pdeathsig), writes out what it has and unmounts. Where
 * it was killed itself, the mount is taken away here or when the domain's remains are.
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../../engine/plugin.ts'
import type { VbdDevice } from './device.ts'
import { wantsDiscard } from './device.ts'
import { vbdErrors } from './errors.ts'
import { run } from './run.ts'
import type { Blockdev, Source } from './source.ts'

const DAEMON = 'qemu-storage-daemon'
/** How long it may take to open an image (a remote one), and to write out what it has. */
const START_MS = 30_000
const END_MS = 10_000
const POLL_MS = 10
/** Of what it prints, as much is kept for messages. */
const LONGEST_WORDS = 2000

export interface DaemonOptions {
  /** A directory of this domain's own. */
  readonly directory: string
  readonly log: Log
  /** Nobody waits for the image any more. */
  readonly signal?: AbortSignal
}

/** How many images were shown so far. */
let shown = 0

/** An image that is shown as a file. */
export interface ShownImage extends AsyncDisposable {
  readonly path: string
}

/** @throws XtError XT_VBD_NO_DAEMON, XT_VBD_NO_FUSE, XT_VBD_LOCKED, XT_VBD_DAEMON */
export async function showImage(
  disk: VbdDevice & { readonly target: string },
  source: Source & { kind: 'daemon' },
  { directory, log, signal }: DaemonOptions,
): Promise<ShownImage> {
  const { vdev, target } = disk
  if (!existsSync('/dev/fuse')) throw vbdErrors.XT_VBD_NO_FUSE(vdev, target)
  // A drive may have its next disc before the last one is put away.
  const name = `${vdev}-${++shown}`
  const path = join(directory, `${name}.disk`)
  const ready = join(directory, `${name}.ready`)
  writeFileSync(path, '')
  const blockdev = JSON.stringify({
    'node-name': 'disk',
    ...accessOf(disk),
    ...withAccess(source.blockdev, disk),
  })
  const writable = disk.readwrite ? 'on' : 'off'
  const words = [
    ...['--blockdev', blockdev],
    ...[
      '--export',
      `type=fuse,id=disk,node-name=disk,mountpoint=${path.replaceAll(',', ',,')},writable=${writable}`,
    ],
    ...['--pidfile', ready],
  ]
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', DAEMON, ...words], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-LONGEST_WORDS)
  })
  let over: string | undefined
  const ended = new Promise<void>((settle) => {
    child.once('error', (error) => {
      over = error.message
      settle()
    })
    child.once('close', (status, signal) => {
      over ??= said.trim() === '' ? `it ended with ${signal ?? `status ${status}`}` : said.trim()
      settle()
    })
  })
  const cleanUp = async () => {
    child.kill('SIGTERM')
    if ((await Promise.race([ended, sleep(END_MS, 'late', { ref: false })])) === 'late') {
      log.error(`${DAEMON} of ${target} did not end and is killed: what it had not written is lost`)
      child.kill('SIGKILL')
      await ended
    }
    if (isMounted(path)) await unmount(path)
    for (const file of [path, ready]) rmSync(file, { force: true })
  }
  for (const start = performance.now(); !existsSync(ready); await sleep(POLL_MS)) {
    if (over === undefined && !signal?.aborted && performance.now() - start < START_MS) continue
    const why = over ?? `not ready after ${START_MS / 1000} s`
    await cleanUp()
    throw whyNot(vdev, target, why)
  }
  let isWanted = true
  void ended.then(() => {
    if (isWanted) log.error(`${DAEMON} of ${target} is gone, so that the guest gets I/O errors: ${over}`)
  })
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      isWanted = false
      await cleanUp()
    },
  }
}

/** What the two levels, format and file, have in common. */
function accessOf(disk: VbdDevice): Blockdev {
  return {
    'read-only': !disk.readwrite,
    discard: wantsDiscard(disk) ? 'unmap' : 'ignore',
    cache: { direct: disk.directIoSafe },
  }
}

const withAccess = (blockdev: Blockdev, disk: VbdDevice): Blockdev =>
  typeof blockdev['file'] !== 'object'
    ? blockdev
    : { ...blockdev, file: { ...accessOf(disk), ...blockdev['file'] } }

function whyNot(vdev: string, target: string, why: string): Error {
  if (/ENOENT/.test(why)) return vbdErrors.XT_VBD_NO_DAEMON(vdev, target, 'util-linux (setpriv)')
  if (/failed to execute.*No such file/s.test(why))
    return vbdErrors.XT_VBD_NO_DAEMON(vdev, target, 'qemu-system-common')
  if (/fusermount/.test(why)) return vbdErrors.XT_VBD_NO_DAEMON(vdev, target, 'fuse3')
  if (/Failed to get .*lock/.test(why)) return vbdErrors.XT_VBD_LOCKED(vdev, target, 'another program')
  const driver = /Unknown (?:protocol|driver) '(\w+)'/.exec(why)
  if (driver !== null) return vbdErrors.XT_VBD_NO_DAEMON(vdev, target, 'qemu-block-extra')
  return vbdErrors.XT_VBD_DAEMON(
    vdev,
    target,
    why.replaceAll(/^qemu-storage-daemon: (?:--blockdev .*?: )?/gm, ''),
  )
}

/** XEN: mountinfo writes blanks as octal. */
function isMounted(path: string): boolean {
  const point = path.replaceAll(' ', '\\040')
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[4] === point)
}

async function unmount(path: string): Promise<void> {
  const asUser = await run('fusermount3', ['-u', '-z', path])
  if (asUser.status !== 0) await run('umount', ['-l', path])
}
