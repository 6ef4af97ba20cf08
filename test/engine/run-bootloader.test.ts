import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { DomainConfig } from '../../src/config/schema.ts'
import { readGuestFiles } from '../../src/engine/guest-files.ts'
import { withBootloader } from '../../src/engine/run-bootloader.ts'

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
  return { runDir: join(runDir, 'run'), config }
}

/** Takes --output and --output-directory out of its arguments. */
const PARSE = `
for word; do case $word in
  --output=*) out=\${word#*=};;
  --output-directory=*) dir=\${word#*=};;
esac; done
`

t.test('its files are what the guest starts with, and are gone afterwards', async (t) => {
  const { runDir, config } = scene(
    t,
    `${PARSE}
    printf KERNEL >$dir/k; printf RAMDISK >$dir/r
    printf 'kernel %s\\0ramdisk %s\\0args a b\\0' $dir/k $dir/r >$out`,
  )
  const files = await readGuestFiles(config(), runDir)
  const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes)
  t.same([text(files.kernel), text(files.ramdisk), files.cmdline], ['KERNEL', 'RAMDISK', 'a b'])
  t.match(files.kernelName, /^the kernel that .* found$/)
  t.same(readdirSync(runDir), [])
})

t.test('it gets the configuration, its own arguments and the first disk', async (t) => {
  const { runDir, config } = scene(
    t,
    `${PARSE}\nprintf '%s\\n' "$@" >$dir/words; printf 'kernel %s\\0' $dir/words >$out`,
  )
  const more = { kernel: '/vmlinuz', cmdline: 'quiet', bootloaderArgs: ['--entry=2'] }
  const words = await withBootloader(config(more), runDir, async ({ kernel }) => readFileSync(kernel, 'utf8'))
  const lines = words.trim().split('\n')
  t.same(
    [lines[0], lines[1], ...lines.slice(-2)],
    ['--kernel=/vmlinuz', '--args=quiet', '--entry=2', '/d.img'],
  )
})

t.test('one that fails, answers nothing or is absent is one error, and leaves nothing', async (t) => {
  const failing = scene(t, 'echo noise; echo "Unable to find partition containing kernel" >&2; exit 1')
  await t.rejects(readGuestFiles(failing.config(), failing.runDir), {
    code: 'XT_BOOTLOADER_FAILED',
    message: /on \/d\.img: Unable to find partition containing kernel$/,
  })
  const silent = scene(t, 'true')
  const use = (config: DomainConfig) => readGuestFiles(config, silent.runDir)
  await t.rejects(use(silent.config()), { code: 'XT_BOOTLOADER_FAILED', message: /it named no kernel/ })
  await t.rejects(use(silent.config({ bootloader: 'no-such-loader' })), {
    code: 'XT_BOOTLOADER_MISSING',
    hint: /xen-utils-4\.17/,
  })
  await t.rejects(use(silent.config({ disks: [] })), { code: 'XT_BOOTLOADER_DISK', message: /has no disk/ })
  const qcow2 = [{ format: 'qcow2', target: '/d.qcow2' }]
  await t.rejects(use(silent.config({ disks: qcow2 })), {
    code: 'XT_BOOTLOADER_DISK',
    message: /format=qcow2/,
  })
  t.same(readdirSync(silent.runDir), [])
})

const PYGRUB = '/usr/bin/pygrub'
const missing = [PYGRUB].find((path) => !existsSync(path))

t.test(
  "Debian's pygrub finds kernel, ramdisk and arguments in an ext4 image",
  { skip: missing === undefined ? false : 'no pygrub (Debian: xen-utils-4.17)' },
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
    const image = join(folder, 'd.img')
    const made = spawnSync('mke2fs', ['-q', '-t', 'ext4', '-d', join(folder, 'tree'), image, '8M'])
    t.equal(made.status, 0, String(made.stderr))
    const config = {
      bootloader: 'pygrub',
      bootloaderArgs: [],
      cmdline: '',
      disks: [{ ...disk, target: image }],
    }
    const files = await readGuestFiles(config as unknown as DomainConfig, join(folder, 'run'))
    t.equal(new TextDecoder().decode(files.kernel), 'KERNEL')
    t.equal(new TextDecoder().decode(files.ramdisk), 'RAMDISK')
    t.equal(files.cmdline, 'root=/dev/xvda ro')
    t.same(readdirSync(join(folder, 'run')), [])
  },
)
