import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createLog } from '../../src/base/log.ts'
import type { DomainConfig } from '../../src/config/schema.ts'
import { readGuestFiles } from '../../src/engine/guest-files.ts'
import { type BootloaderHost, withBootloader } from '../../src/engine/run-bootloader.ts'
import { showDisk } from '../../src/plugins/builtin.ts'
import { FakeClock } from './fixtures/fake-clock.ts'
import { eventually, isRunning } from './fixtures/launch-fake.ts'

const disk = { format: 'raw', target: '/d.img' }

/** A bootloader that is a shell script, and a run directory. */
function scene(t: Test, script: string) {
  const runDir = t.testdir({ run: {} })
  const program = join(runDir, 'loader')
  writeFileSync(program, `#!/bin/sh\n${script}\n`)
  chmodSync(program, 0o755)
  const config = (more: object = {}) =>
    ({
      bootloader: program,
      bootloaderArgs: [],
      cmdline: '',
      disks: [disk],
      ...more,
    }) as unknown as DomainConfig & {
      bootloader: string
    }
  return { ...hostOf(join(runDir, 'run')), config }
}

/** A host whose disks are shown as they are. */
function hostOf(directory: string) {
  const clock = new FakeClock()
  const notices: string[] = []
  const destroy = new AbortController()
  const host: BootloaderHost = {
    directory,
    showDisk: async ({ target }) => ({ path: target!, [Symbol.asyncDispose]: async () => {} }),
    clock,
    log: createLog(() => {}),
    notice: (line) => notices.push(line),
    signal: destroy.signal,
  }
  return { runDir: directory, host, clock, notices, destroy }
}

/** Takes --output and --output-directory out of its arguments. */
const PARSE = `
for word; do case $word in
  --output=*) out=\${word#*=};;
  --output-directory=*) dir=\${word#*=};;
esac; done
`

t.test('its files are what the guest starts with, and are gone afterwards', async (t) => {
  const { runDir, host, config } = scene(
    t,
    `${PARSE}
    printf KERNEL >$dir/k; printf RAMDISK >$dir/r
    printf 'kernel %s\\0ramdisk %s\\0args a b\\0' $dir/k $dir/r >$out`,
  )
  const files = await readGuestFiles(config(), host)
  const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes)
  t.same([text(files.kernel), text(files.ramdisk), files.cmdline], ['KERNEL', 'RAMDISK', 'a b'])
  t.match(files.kernelName, /^the kernel that .* found$/)
  t.same(readdirSync(runDir), [])
})

t.test('it gets the configuration, its own arguments and the first disk', async (t) => {
  const { host, config } = scene(
    t,
    `${PARSE}\nprintf '%s\\n' "$@" >$dir/words; printf 'kernel %s\\0' $dir/words >$out`,
  )
  const more = { kernel: '/vmlinuz', cmdline: 'quiet', bootloaderArgs: ['--entry=2'] }
  const words = await withBootloader(config(more), host, async ({ kernel }) => readFileSync(kernel, 'utf8'))
  const lines = words.trim().split('\n')
  t.same(
    [lines[0], lines[1], ...lines.slice(-2)],
    ['--kernel=/vmlinuz', '--args=quiet', '--entry=2', '/d.img'],
  )
})

t.test('one that fails, answers nothing or is absent is one error, and leaves nothing', async (t) => {
  const failing = scene(t, 'echo noise; echo "Unable to find partition containing kernel" >&2; exit 1')
  await t.rejects(readGuestFiles(failing.config(), failing.host), {
    code: 'XT_BOOTLOADER_FAILED',
    message: /on \/d\.img: Unable to find partition containing kernel$/,
  })
  const silent = scene(t, 'true')
  const use = (config: DomainConfig) => readGuestFiles(config, silent.host)
  await t.rejects(use(silent.config()), { code: 'XT_BOOTLOADER_FAILED', message: /it named no kernel/ })
  await t.rejects(use(silent.config({ bootloader: 'no-such-loader' })), {
    code: 'XT_BOOTLOADER_MISSING',
    hint: /xen-utils-4\.17/,
  })
  await t.rejects(use(silent.config({ disks: [] })), { code: 'XT_BOOTLOADER_DISK', message: /has no disk/ })
  const scripted = [{ ...disk, script: 'block-iscsi' }]
  await t.rejects(use(silent.config({ disks: scripted })), {
    code: 'XT_BOOTLOADER_DISK',
    message: /is made by script=block-iscsi/,
  })
  t.same(readdirSync(silent.runDir), [])
})

/** A bootloader that never ends, nor does what it started; and the processes of both, once they are there. */
function hanging(t: Test) {
  const { config, ...rest } = scene(t, `${PARSE}\n sleep 600 & echo $$ $! >$dir/../pids; wait`)
  const pids = () =>
    eventually(() => {
      const file = join(rest.runDir, 'pids')
      const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
      return /^(\d+) (\d+)\n/.exec(text) ?? undefined
    })
  const over = (found: readonly string[]) =>
    eventually(() => (found.slice(1).some((pid) => isRunning(Number(pid))) ? undefined : true))
  return { ...rest, pids, over, files: readGuestFiles(config(), rest.host) }
}

t.test('one that hangs is said, then killed with all that it started, with what to try', async (t) => {
  const { clock, notices, pids, over, files, runDir } = hanging(t)
  const failed = t.rejects(files, {
    code: 'XT_BOOTLOADER_STUCK',
    message: /loader on \/d\.img has not ended after 120 s and was killed/,
    hint: /by hand: .*loader --output=.* \/d\.img$/,
  })
  const running = await pids()
  await clock.pass(3000)
  t.match(notices, [/^waiting for .*loader \(\/d\.img\)$/])
  await clock.pass(117_000)
  await failed
  await over(running)
  t.same(readdirSync(runDir), ['pids'])
  t.equal(clock.pending, 0)
})

t.test('one whose domain is destroyed ends with it', async (t) => {
  const { destroy, pids, over, files, runDir, clock } = hanging(t)
  const failed = t.rejects(files, { code: 'XT_BROKEN_OFF' })
  const running = await pids()
  destroy.abort()
  await failed
  await over(running)
  t.same(readdirSync(runDir), ['pids'])
  t.equal(clock.pending, 0)
})

const PYGRUB = '/usr/bin/pygrub'
const missing = [PYGRUB].find((path) => !existsSync(path))

const noPygrub = missing === undefined ? false : 'no pygrub (Debian: xen-utils-4.17)'

/** Why images of other formats cannot be shown here; false: they can. */
function noQcow2(): string | false {
  for (const program of ['qemu-storage-daemon', 'qemu-img'])
    if (spawnSync(program, ['--version']).error !== undefined)
      return `no ${program} (Debian: qemu-utils, qemu-system-common)`
  return existsSync('/dev/fuse') ? false : 'no /dev/fuse'
}

for (const format of ['raw', 'qcow2', 'vhdx'])
  t.test(
    `Debian's pygrub finds kernel, ramdisk and arguments in an ext4 file system in a ${format} image`,
    { skip: noPygrub || (format === 'raw' ? false : noQcow2()) },
    async (t) => {
      const folder = t.testdir({
        run: {},
        tree: {
          boot: {
            'vmlinuz-1': 'KERNEL',
            'initrd-1': 'RAMDISK',
            grub: {
              'grub.cfg': 'menuentry "A" {\n linux /vmlinuz root=/dev/xvda ro\n initrd /boot/initrd-1\n}\n',
            },
          },
          vmlinuz: t.fixture('symlink', 'boot/vmlinuz-1'),
        },
      })
      const [raw, image] = [join(folder, 'd.img'), join(folder, `d.${format}`)]
      const must = (program: string, ...words: readonly string[]) =>
        t.equal(spawnSync(program, words).status, 0, program)
      must('mke2fs', '-q', '-t', 'ext4', '-d', join(folder, 'tree'), raw, '8M')
      if (format !== 'raw') must('qemu-img', 'convert', '-O', format, raw, image)
      const { host, runDir } = hostOf(join(folder, 'run'))
      // As the configuration has them: xl has no word for vhdx.
      const target = format === 'raw' ? raw : format === 'vhdx' ? `vhdx:${image}` : image
      const disks = [
        {
          target,
          vdev: 'xvda',
          vdevNumber: 51712,
          format: format === 'vhdx' ? 'raw' : format,
          readwrite: true,
        },
      ]
      const config = { bootloader: 'pygrub', bootloaderArgs: [], cmdline: '', disks }
      const files = await readGuestFiles(config as unknown as DomainConfig, { ...host, showDisk })
      t.equal(new TextDecoder().decode(files.kernel), 'KERNEL')
      t.equal(new TextDecoder().decode(files.ramdisk), 'RAMDISK')
      t.equal(files.cmdline, 'root=/dev/xvda ro')
      t.same(readdirSync(runDir), [])
    },
  )

t.test('an image that cannot be opened is the error of its disk', async (t) => {
  const { host } = hostOf(t.testdir({}))
  const disks = [{ target: '/nowhere.img', vdev: 'xvda', vdevNumber: 51712, format: 'raw', readwrite: true }]
  const config = { bootloader: '/bin/true', bootloaderArgs: [], cmdline: '', disks }
  await t.rejects(readGuestFiles(config as unknown as DomainConfig, { ...host, showDisk }), {
    code: 'XT_VBD_MISSING',
  })
})
