/**
 * Guests whose kernel is on their disk: found by pygrub, started by Debian's PVH GRUB; and, where it is asked for, a whole
 * Debian image made by `npm run image`, from its first boot over ssh to its power-off.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { debianKernel, debianModules } from '../../scripts/assets/fetch-debian-kernel.ts'
import { initramfs, runArgument } from '../../scripts/assets/make-initramfs.ts'
import { finished, root } from '../commands/fake-domain.ts'
import { GuestLab, until } from './guest.ts'

t.setTimeout(1_200_000)

const GRUB = '/usr/lib/grub-xen/grub-i386-xen_pvh.bin'
const WAYS = [
  { name: 'pygrub', needs: '/usr/bin/pygrub', of: 'xen-utils-4.17', settings: ['bootloader="pygrub"'] },
  {
    name: 'pygrub, in a qcow2 image,',
    needs: '/usr/bin/pygrub',
    of: 'xen-utils-4.17',
    settings: ['bootloader="pygrub"'],
    format: 'qcow2',
  },
  { name: "Debian's PVH GRUB", needs: GRUB, of: 'grub-xen-host', settings: [`kernel="${GRUB}"`] },
]

async function filesOf() {
  if (spawnSync('mke2fs', ['-V']).error !== undefined) return 'no mke2fs (Debian: e2fsprogs)'
  try {
    const { vmlinuz } = await debianKernel()
    return { vmlinuz, ramdisk: await initramfs({ modules: await debianModules(['xen-blkfront']) }) }
  } catch (error) {
    return (error as Error).message
  }
}
const files = await filesOf()

/** An ext4 image with a kernel, a ramdisk and a boot entry that runs a script. */
function bootImage(folder: string, from: { vmlinuz: string; ramdisk: string }, script: string): string {
  const boot = join(folder, 'tree', 'boot')
  mkdirSync(join(boot, 'grub'), { recursive: true })
  copyFileSync(from.vmlinuz, join(boot, 'vmlinuz'))
  copyFileSync(from.ramdisk, join(boot, 'initrd.img'))
  const entry = `linux /boot/vmlinuz console=hvc0 quiet ${runArgument(script)}\n  initrd /boot/initrd.img`
  writeFileSync(join(boot, 'grub', 'grub.cfg'), `set timeout=0\nmenuentry "test" {\n  ${entry}\n}\n`)
  const image = join(folder, 'disk.img')
  const made = spawnSync('mke2fs', ['-q', '-t', 'ext4', '-d', join(folder, 'tree'), image, '48M'])
  if (made.status !== 0) throw new Error(String(made.stderr))
  return image
}

/** Why images of a format cannot be made and served here; false: they can. */
function noFormat(format: string): string | false {
  const isThere = (program: string) => spawnSync(program, ['--version']).error === undefined
  if (format === 'raw' || (isThere('qemu-img') && isThere('qemu-storage-daemon'))) return false
  return 'no qemu-img or qemu-storage-daemon (Debian: qemu-utils, qemu-system-common)'
}

/** Makes a raw image one of another format, in its place. */
function convert(image: string, format: string): void {
  const made = spawnSync('qemu-img', ['convert', '-O', format, image, `${image}.new`])
  if (made.status !== 0) throw new Error(String(made.stderr))
  renameSync(`${image}.new`, image)
}

for (const { name, needs, of, settings, format = 'raw' } of WAYS) {
  const missing = (existsSync(needs) ? false : `no ${needs} (Debian: ${of})`) || noFormat(format)
  t.test(
    `${name} starts the kernel that is on the disk, and the disk is there for it`,
    { skip: typeof files === 'string' ? files : missing },
    async (t) => {
      const script =
        'sleep 1; mkdir /d; mount -t ext4 -o ro /dev/xvda /d && ls -1 /d/boot; echo "on $(uname -s)"'
      const image = bootImage(t.testdir({}), files as Exclude<typeof files, string>, script)
      if (format !== 'raw') convert(image, format)
      const lab = new GuestLab(t)
      const config = join(t.testdirName, 'guest.cfg')
      const disk = `disk=["format=${format},vdev=xvda,access=rw,target=${image}"]`
      writeFileSync(config, ['name="disk"', 'type="pvh"', 'memory=256', ...settings, disk, ''].join('\n'))
      const { status, stdout, stderr } = await finished(lab.start('create', config, '-F', '-c'))
      t.equal(status, 0, stderr)
      const lines = stdout.split('\r\n')
      for (const line of ['initrd.img', 'on Linux']) t.ok(lines.includes(line), line)
      t.same(await lab.leftovers(), [])
      t.notOk(readdirSync(lab.paths.runDir).some((file) => file.startsWith('bootloader')))
    },
  )
}

const image = process.env['XT_TEST_IMAGE']

t.test(
  'a Debian image boots to its login, is reached over ssh through a forward, and powers off',
  { skip: image === undefined && 'takes minutes: XT_TEST_IMAGE=1 has an image made and booted' },
  async (t) => {
    const folder = t.testdir({})
    const [disk, key] = [join(folder, 'debian.img'), join(folder, 'key')]
    const must = (program: string, ...words: readonly string[]) => {
      const { status, stdout, stderr } = spawnSync(program, words, { encoding: 'utf8' })
      if (status !== 0) throw new Error(`${program}: ${stderr}`)
      return stdout
    }
    must('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', key)
    must(process.execPath, join(root, 'scripts/image.ts'), 'debian', disk, '--ssh-key', `${key}.pub`)
    const lab = new GuestLab(t)
    const port = 20_000 + (process.pid % 10_000)
    const settings = [`disk=["${disk},raw,xvda,rw"]`, `vif=["forward=${port}:22"]`]
    await lab.must('create', join(root, 'examples/debian-disk.cfg'), ...settings)
    const console = lab.console('debian')
    await console.sees(/debian login: /)
    const ssh = [
      '-i',
      key,
      '-p',
      `${port}`,
      '-o',
      'StrictHostKeyChecking=no',
      '-o',
      'UserKnownHostsFile=/dev/null',
    ]
    let answer = ''
    await until('ssh answers', () => {
      const { status, stdout } = spawnSync('ssh', [...ssh, 'root@127.0.0.1', 'hostname; ls /'], {
        encoding: 'utf8',
      })
      answer = stdout
      return status === 0
    })
    t.match(answer, /^debian\nbin\n/)
    console.type('root\n')
    await console.sees(/root@debian:~# /)
    console.type('poweroff\n')
    await console.ended
    t.match(must('e2fsck', '-f', '-n', disk), /Pass 5/)
    await until('the domain is gone', async () => (await lab.row('debian')) === undefined)
    t.same(await lab.leftovers(), [])
  },
)
