/** A Debian guest with disks: an ext4 image that it writes, one that it may only read, and what the host sees of it. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { debianKernel, debianModules } from '../../scripts/assets/fetch-debian-kernel.ts'
import { initramfs, runArgument } from '../../scripts/assets/make-initramfs.ts'
import { loadPunchHole } from '../../src/plugins/vbd/punch-hole.ts'
import { finished, root } from '../commands/fake-domain.ts'
import { GuestLab, until } from './guest.ts'

t.setTimeout(600_000)

async function filesOf() {
  for (const program of ['mke2fs', 'debugfs', 'e2fsck'])
    if (spawnSync(program, ['-V']).error !== undefined) return `no ${program} (Debian: e2fsprogs)`
  try {
    const { vmlinuz } = await debianKernel()
    const modules = await debianModules(['xen-blkfront'])
    const driver = { path: 'xen-blkfront.ko', kind: 'file', data: readFileSync(modules[0]!) } as const
    return {
      vmlinuz,
      ramdisk: await initramfs({ modules }),
      /** Has the driver, but does not load it: it takes parameters. */
      bareRamdisk: await initramfs({ extra: [driver] }),
    }
  } catch (error) {
    return (error as Error).message
  }
}
const files = await filesOf()
const skip = typeof files === 'string' ? files : false

/** Runs a program of e2fsprogs that must succeed, and gives what it printed. */
function e2fs(program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`)
  return stdout
}

/** An ext4 image of a folder with one file. */
function image(folder: string, name: string): string {
  const path = join(folder, name)
  e2fs('mke2fs', '-q', '-t', 'ext4', '-d', join(folder, 'tree'), path, '16M')
  return path
}

const create = (disks: readonly string[], more: Readonly<Record<string, string>> = {}): readonly string[] => {
  if (typeof files === 'string') return []
  const settings = { kernel: files.vmlinuz, ramdisk: files.ramdisk, ...more }
  const words = Object.entries(settings).map(([key, value]) => `${key}=${JSON.stringify(value)}`)
  return ['create', '-q', join(root, 'examples', 'disk.cfg'), `disk=${JSON.stringify(disks)}`, ...words]
}

t.test(
  'what a guest writes into a file system is in the image; a read-only disk stays as it was',
  { skip },
  async (t) => {
    const folder = t.testdir({ tree: { 'hello.txt': 'from the host\n' } })
    const [rw, ro] = [image(folder, 'rw.img'), image(folder, 'ro.img')]
    const before = readFileSync(ro)
    const lab = new GuestLab(t)
    const script = [
      'insmod /xen-blkfront.ko max_ring_page_order=4; sleep 1',
      'echo "ring $(cat /sys/module/xen_blkfront/parameters/max_ring_page_order)"',
      'mkdir /a /b',
      'mount -t ext4 /dev/xvda /a && cat /a/hello.txt',
      'echo from the guest >/a/answer.txt',
      'dd if=/dev/urandom of=/a/random bs=64k count=32 2>/dev/null && sync && md5sum </a/random',
      'echo 3 >/proc/sys/vm/drop_caches && md5sum </a/random',
      'mount -o ro,noload -t ext4 /dev/xvdb /b && cat /b/hello.txt',
      'echo "ro $(cat /sys/block/xvda/ro) $(cat /sys/block/xvdb/ro)"',
      'rm /a/hello.txt; sync; fstrim /a; echo "trim $?"',
      'umount /b; mount -o rw -t ext4 /dev/xvdb /b; touch /b/new 2>&1',
      'dd if=/dev/zero of=/dev/xvdb bs=4k count=1 2>&1 | grep -v records',
      'umount /a',
    ].join('\n')
    const disks = [`${rw},raw,xvda,rw`, `format=raw, vdev=xvdb, access=ro, target=${ro}`]
    const ramdisk = typeof files === 'string' ? '' : files.bareRamdisk
    const settings = { ramdisk, extra: `console=hvc0 ${runArgument(script)}` }
    const child = lab.start(...create(disks, settings), '-F', '-c')
    const { status, stdout, stderr } = await finished(child)
    t.equal(status, 0, stderr)
    t.match(stdout, /blkfront: xvda: flush diskcache: enabled; .*indirect descriptors: enabled/)
    t.notMatch(stdout, /I\/O error|BUG:|Call Trace/)
    const lines = stdout.split('\r\n')
    t.equal(lines.filter((line) => line === 'from the host').length, 2)
    for (const line of ['ring 4', 'ro 0 1']) t.ok(lines.includes(line), line)
    if ((await loadPunchHole()) !== undefined) t.ok(lines.includes('trim 0'), 'free blocks were given back')
    t.match(stdout, /touch: \/b\/new: Read-only file system/)
    t.match(stdout, /error writing '\/dev\/xvdb'|can't open '\/dev\/xvdb'/)

    t.equal(e2fs('debugfs', '-R', 'cat answer.txt', rw), 'from the guest\n')
    e2fs('debugfs', '-R', `dump random ${join(folder, 'random')}`, rw)
    const sum = spawnSync('md5sum', [join(folder, 'random')], { encoding: 'utf8' }).stdout.slice(0, 32)
    t.equal(lines.filter((line) => line.startsWith(sum)).length, 2, 'the same bytes here and there')
    e2fs('e2fsck', '-f', '-n', rw)
    t.equal(Buffer.compare(readFileSync(ro), before), 0)
    t.same(await lab.leftovers(), [])
  },
)

t.test('what a guest has synced is in the image when its process is killed', { skip }, async (t) => {
  const folder = t.testdir({ tree: {} })
  const rw = image(folder, 'rw.img')
  const lab = new GuestLab(t)
  await lab.must(...create([`${rw},raw,xvda,rw`]))
  const console = lab.console('disk')
  await console.sees(/Root shell on hvc0\./)
  await console.ask('mkdir /mnt && mount -t ext4 /dev/xvda /mnt')
  t.equal(await console.ask('echo kept >/mnt/kept.txt && sync && echo synced'), 'synced')
  process.kill((await lab.info('disk')).pid, 'SIGKILL')
  await console.ended
  e2fs('e2fsck', '-p', '-E', 'journal_only', rw)
  t.equal(e2fs('debugfs', '-R', 'cat kept.txt', rw), 'kept\n')
  await until('its remains are cleared away', async () => (await lab.row('disk')) === undefined)
  t.same(await lab.leftovers(), [])
})

t.test('a disk that cannot be is an error that names it, and nothing is left', { skip }, async (t) => {
  const folder = t.testdir({ folder: {} })
  const lab = new GuestLab(t)
  for (const [spec, said] of [
    [`${folder}/missing,raw,xvda,rw`, /disk xvda: .*missing does not exist/],
    [`${folder}/folder,raw,xvda,rw`, /disk xvda: .*folder is a directory/],
    [`${folder}/a.qcow2,qcow2,xvda,rw`, /disk xvda: .*a\.qcow2.*(No such file|not installed)/],
  ] as const) {
    const { status, stderr } = await lab.xt(...create([spec]))
    t.equal(status, 3)
    t.match(stderr, said)
  }
  t.notOk(existsSync(join(folder, 'missing')))
  t.same(await lab.leftovers(), [])
})
