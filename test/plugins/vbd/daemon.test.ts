/** Images through a real qemu-storage-daemon. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createLog } from '../../../src/base/log.ts'
import { showImage } from '../../../src/plugins/vbd/daemon.ts'
import { openImage } from '../../../src/plugins/vbd/image.ts'
import { type Source, sourceOf } from '../../../src/plugins/vbd/source.ts'
import { xvda } from './frontend.ts'

const MiB = 1 << 20
const logged: string[] = []
const log = createLog((_level, line) => logged.push(line))

function missing(): string | false {
  if (!existsSync('/dev/fuse')) return 'no /dev/fuse'
  for (const program of ['qemu-storage-daemon', 'qemu-img', 'setpriv'])
    if (spawnSync(program, ['--version']).error !== undefined) return `no ${program}`
  const { stdout } = spawnSync('qemu-storage-daemon', ['--help'], { encoding: 'utf8' })
  return /\bfuse\b/.test(stdout) ? false : 'qemu-storage-daemon has no FUSE export'
}
const skip = missing()

const qemuImg = (...args: readonly string[]) => {
  const { status, stderr } = spawnSync('qemu-img', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`qemu-img ${args.join(' ')}: ${stderr}`)
}

type Disk = typeof xvda & { readonly target: string }
const disk = (target: string, more: Partial<Disk> = {}): Disk => ({ ...xvda, target, ...more })
const show = (wanted: Disk, directory: string) =>
  showImage(wanted, sourceOf(wanted) as Source & { kind: 'daemon' }, { directory, log })

const mounts = () => readFileSync('/proc/self/mountinfo', 'utf8')
const until = async (ask: () => boolean) => {
  for (let tries = 0; !ask(); tries++) {
    if (tries > 3000) throw new Error('never happened')
    await sleep(10)
  }
}

for (const [format, target, qemu] of [
  ['qcow2', 'a.img', 'qcow2'],
  ['vhd', 'a.img', 'vpc'],
  ['raw', 'vmdk:', 'vmdk'],
  ['raw', 'vhdx:', 'vhdx'],
  ['raw', 'vdi:', 'vdi'],
] as const) {
  t.test(`${qemu}: what is written is in the image`, { skip }, async (t) => {
    const folder = t.testdir({ run: {} })
    const path = join(folder, 'a.img')
    qemuImg('create', '-q', '-f', qemu, ...(qemu === 'vpc' ? ['-o', 'force_size=on'] : []), path, '8M')
    const wanted = disk(target.endsWith(':') ? `${target}${path}` : path, { format })
    const shown = await show(wanted, join(folder, 'run'))
    const image = await openImage(wanted, { path: shown.path, lock: false, sectorSize: 512, log })
    t.equal(image.geometry.sectors, (8 * MiB) / 512)
    writeSync(image.fd, Buffer.from('written by the guest'), 0, 20, 5 * MiB)
    await image[Symbol.asyncDispose]()
    await shown[Symbol.asyncDispose]()
    t.same(readdirSync(join(folder, 'run')), [])
    t.notMatch(mounts(), folder)
    qemuImg('convert', '-f', qemu, '-O', 'raw', path, join(folder, 'raw'))
    t.equal(
      readFileSync(join(folder, 'raw')).toString('latin1', 5 * MiB, 5 * MiB + 20),
      'written by the guest',
    )
  })
}

t.test('an image that another program writes is refused', { skip }, async (t) => {
  const folder = t.testdir({ run: {} })
  const path = join(folder, 'a.qcow2')
  qemuImg('create', '-q', '-f', 'qcow2', path, '8M')
  const wanted = disk(path, { format: 'qcow2' })
  await using _shown = await show(wanted, join(folder, 'run'))
  await t.rejects(show(wanted, join(folder, 'run')), { code: 'XT_VBD_LOCKED' })
})

t.test('what the daemon does not open is its own words', { skip }, async (t) => {
  const folder = t.testdir({ run: {}, 'no.qcow2': 'this is no image' })
  const wrong = disk(join(folder, 'no.qcow2'), { format: 'qcow2' })
  await t.rejects(show(wrong, join(folder, 'run')), { code: 'XT_VBD_DAEMON', message: /not in qcow2 format/ })
  const absent = disk(join(folder, 'absent'), { format: 'qcow2' })
  await t.rejects(show(absent, join(folder, 'run')), { code: 'XT_VBD_DAEMON', message: /No such file/ })
  t.same(readdirSync(join(folder, 'run')), [])
})

t.test('a daemon that is killed is said, and its mount goes with the disk', { skip }, async (t) => {
  const folder = t.testdir({ run: {} })
  const path = join(folder, 'a.qcow2')
  qemuImg('create', '-q', '-f', 'qcow2', path, '8M')
  const shown = await show(disk(path, { format: 'qcow2' }), join(folder, 'run'))
  process.kill(daemonOf(path), 'SIGKILL')
  await until(() => logged.some((line) => /qemu-storage-daemon .* is gone/.test(line)))
  t.throws(() => readFileSync(shown.path))
  await shown[Symbol.asyncDispose]()
  t.notMatch(mounts(), folder)
  t.same(readdirSync(join(folder, 'run')), [])
})

t.test('the daemon ends when the process that has the disk is killed', { skip }, async (t) => {
  const folder = t.testdir({ run: {} })
  const path = join(folder, 'a.qcow2')
  qemuImg('create', '-q', '-f', 'qcow2', path, '8M')
  const program = join(folder, 'holder.ts')
  const from = (file: string) =>
    JSON.stringify(new URL(`../../../src/plugins/vbd/${file}`, import.meta.url).href)
  writeFileSync(
    program,
    `import { showImage } from ${from('daemon.ts')}
     import { sourceOf } from ${from('source.ts')}
     const log = { error() {} }
     const disk = ${JSON.stringify(disk(path, { format: 'qcow2' }))}
     await showImage(disk, sourceOf(disk), { directory: ${JSON.stringify(join(folder, 'run'))}, log })
     process.kill(process.pid, 'SIGKILL')`,
  )
  const { signal } = spawnSync(process.execPath, [program])
  t.equal(signal, 'SIGKILL')
  await until(() => !mounts().includes(folder))
  t.pass('unmounted')
})

t.test('a remote image: nbd', { skip: skip || nbdMissing() }, async (t: Test) => {
  const folder = t.testdir({ run: {} })
  const path = join(folder, 'a.qcow2')
  const socket = join(folder, 's')
  qemuImg('create', '-q', '-f', 'qcow2', path, '8M')
  const words = ['--fork', '-t', '-k', socket, '-f', 'qcow2', '--pid-file', join(folder, 'pid'), path]
  t.equal(spawnSync('qemu-nbd', words, { stdio: 'ignore' }).status, 0)
  const server = Number(readFileSync(join(folder, 'pid'), 'utf8'))
  t.teardown(() => process.kill(server))
  const wanted = disk(`nbd+unix:///?socket=${socket}`)
  await using shown = await show(wanted, join(folder, 'run'))
  await using image = await openImage(wanted, { path: shown.path, lock: false, sectorSize: 512, log })
  writeSync(image.fd, Buffer.from('far away'), 0, 8, MiB)
  const back = Buffer.alloc(8)
  readSync(image.fd, back, 0, 8, MiB)
  t.equal(back.toString(), 'far away')
})

function nbdMissing(): string | false {
  return spawnSync('qemu-nbd', ['--version']).error === undefined ? false : 'no qemu-nbd (Debian: qemu-utils)'
}

/** The process that has an image on its command line. */
function daemonOf(path: string): number {
  const found = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .find((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
        return words.startsWith('qemu-storage-daemon') && words.includes(path)
      } catch {
        return false
      }
    })
  return Number(found)
}
