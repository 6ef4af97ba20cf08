/** Disks that come, go, grow and are changed under a Debian guest, and what is left of them on the host. */
import { spawnSync } from 'node:child_process'
import { chmodSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { debianKernel, debianModules } from '../../scripts/assets/fetch-debian-kernel.ts'
import { initramfs } from '../../scripts/assets/make-initramfs.ts'
import { root } from '../commands/fake-domain.ts'
import { GuestLab, until } from './guest.ts'

t.setTimeout(900_000)

async function filesOf() {
  try {
    const { vmlinuz } = await debianKernel()
    return { vmlinuz, ramdisk: await initramfs({ modules: await debianModules(['xen-blkfront']) }) }
  } catch (error) {
    return (error as Error).message
  }
}
const files = await filesOf()
const skip = typeof files === 'string' ? files : false
const has = (program: string) => spawnSync(program, ['--version']).error === undefined
const canShow = has('qemu-img') && has('qemu-storage-daemon')

const MiB = 1 << 20
const create = (disks: readonly string[], more: Readonly<Record<string, string | number>> = {}) => {
  if (typeof files === 'string') return []
  const settings = { kernel: files.vmlinuz, ramdisk: files.ramdisk, ...more }
  const words = Object.entries(settings).map(([key, value]) => `${key}=${JSON.stringify(value)}`)
  return ['create', '-q', join(root, 'examples', 'disk.cfg'), `disk=${JSON.stringify(disks)}`, ...words]
}

/** A file of so many MiB that begins with some text. */
function image(folder: string, name: string, mib: number, text = ''): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  truncateSync(path, mib * MiB)
  return path
}

t.test(
  'disks come and go, grow, and drives get other discs while a guest with two rings runs',
  { skip },
  async (t) => {
    const folder = t.testdir({
      '.xtrc.json': '{"pluginConfig":{"vbd":{"cdromsAsDisks":true,"resizeSeconds":0.2}}}',
    })
    process.chdir(folder)
    const a = image(folder, 'a.img', 8, 'first')
    const b = image(folder, 'b.img', 4, 'second')
    const cd = image(folder, 'cd.iso', 1, 'a disc')
    const lab = new GuestLab(t)
    const drive = 'vdev=xvdc,devtype=cdrom,format=empty'
    await lab.must(...create([`${a},raw,xvda,w`, drive], { vcpus: 2 }))
    const guest = lab.console('disk')
    await guest.sees(/Root shell on hvc0\./)
    const size = (disk: string) => guest.ask(`cat /sys/block/${disk}/size 2>/dev/null || echo none`)
    const sees = (disk: string, sectors: string) =>
      until(`${disk} has ${sectors} sectors`, async () => (await size(disk)) === sectors)
    t.equal(await guest.ask('ls /sys/block/xvda/mq | wc -w'), '2', 'a ring for each vCPU')
    t.equal(await guest.ask('head -c 5 /dev/xvda'), 'first')

    await t.test('block-attach', async (t) => {
      t.equal(await lab.must('block-attach', 'disk', b, 'raw', 'xvdb', 'w').catch(String), '')
      await sees('xvdb', '8192')
      t.equal(await guest.ask('head -c 6 /dev/xvdb'), 'second')
      const rows = (await lab.must('block-list', 'disk')).split('\n').map((row) => row.split(/ +/)[0])
      t.same(rows, ['Vdev', '51712', '51728', '51744', ''])
      const { disks } = (await lab.info('disk')).config
      t.same(
        disks.map(({ vdev }) => vdev),
        ['xvda', 'xvdc', 'xvdb'],
      )
      const again = await lab.xt('block-attach', 'disk', `${b},raw,xvdb,w`)
      t.match(again, { status: 1, stderr: /xvdb exists already/ })
      const twice = await lab.xt('block-attach', 'disk', `${b},raw,xvdd,w`)
      t.match(twice, { status: 1, stderr: /xvdd: .*b\.img is in use by this domain itself/ })
      const missing = await lab.xt('block-attach', 'disk', `${folder}/none,raw,xvdd,w`)
      t.match(missing, { status: 1, stderr: /none does not exist/ })
    })

    await t.test('an image that grows, grows in the guest', async () => {
      truncateSync(b, 6 * MiB)
      await sees('xvdb', '12288')
      await guest.ask('echo end | dd of=/dev/xvdb bs=1M seek=5 conv=fsync 2>/dev/null')
      t.equal(readFileSync(b).toString('latin1', 5 * MiB, 5 * MiB + 3), 'end')
    })

    await t.test('block-detach', async (t) => {
      await lab.must('block-detach', 'disk', 'xvdb')
      await until('xvdb is gone', async () => (await size('xvdb')) === 'none')
      t.notMatch(await lab.must('block-list', 'disk'), /51728/)
      t.match(await lab.xt('block-detach', 'disk', 'xvdb'), {
        status: 1,
        stderr: /Error: Device xvdb not connected\./,
      })
      t.match(await lab.xt('block-detach', 'disk', 'nosuch'), {
        status: 1,
        stderr: /Device nosuch not connected/,
      })
      t.same(
        (await lab.info('disk')).config.disks.map(({ vdev }) => vdev),
        ['xvda', 'xvdc'],
      )
    })

    await t.test('block-detach --force pulls the cable', async () => {
      await lab.must('block-attach', 'disk', `${b},raw,xvdb,w`)
      await sees('xvdb', '12288')
      await guest.ask('exec 7</dev/xvdb')
      await lab.must('block-detach', '--force', 'disk', 'xvdb')
      await guest.ask('dd if=/dev/xvdb of=/dev/null bs=4k count=1 skip=100 2>/dev/null; exec 7<&-')
      await until('xvdb is gone', async () => (await size('xvdb')) === 'none')
    })

    await t.test('cd-insert and cd-eject', async (t) => {
      t.equal(await size('xvdc'), '0')
      await lab.must('cd-insert', 'disk', 'xvdc', cd)
      await sees('xvdc', '2048')
      t.equal(await guest.ask('head -c 6 /dev/xvdc'), 'a disc')
      await lab.must('cd-eject', 'disk', 'xvdc')
      await sees('xvdc', '0')
      t.match(await lab.xt('cd-insert', 'disk', 'xvda', cd), { status: 1, stderr: /xvda is no CD drive/ })
      t.match(await lab.xt('cd-insert', 'disk', 'xvdc', '/nowhere'), {
        status: 1,
        stderr: /Cannot stat file: \/nowhere/,
      })
    })

    await t.test(
      'a hotplug script makes the device',
      { skip: has('xenstore-write') ? false : 'no xenstore-write' },
      async (t) => {
        const script = join(folder, 'block-test')
        writeFileSync(
          script,
          `#!/bin/sh
      echo "$1 $(xenstore-read $XENBUS_PATH/params)" >>${folder}/calls
      [ "$1" = add ] || exit 0
      [ "$(xenstore-read $XENBUS_PATH/params)" = thing ] || { xenstore-write $XENBUS_PATH/hotplug-error "no such thing" $XENBUS_PATH/hotplug-status error; exit 1; }
      xenstore-write $XENBUS_PATH/physical-device-path ${b} $XENBUS_PATH/hotplug-status connected
      `,
        )
        chmodSync(script, 0o755)
        await lab.must('block-attach', 'disk', `script=${script},vdev=xvdd,target=thing`)
        await sees('xvdd', '12288')
        t.equal(await guest.ask('head -c 6 /dev/xvdd'), 'second')
        await lab.must('block-detach', 'disk', 'xvdd')
        const wrong = await lab.xt('block-attach', 'disk', `script=${script},vdev=xvdd,target=other`)
        t.match(wrong, { status: 1, stderr: /block-test failed: no such thing/ })
        const calls = readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n')
        t.same(calls, ['add thing', 'remove thing', 'add other', 'remove other'])
      },
    )

    await t.test('qcow2', { skip: canShow ? false : 'no qemu-storage-daemon' }, async (t) => {
      const path = join(folder, 'a.qcow2')
      spawnSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '8M'])
      await lab.must('block-attach', 'disk', `${path},qcow2,xvde,w`)
      await sees('xvde', '16384')
      await guest.ask('echo inside | dd of=/dev/xvde bs=1M seek=3 conv=fsync 2>/dev/null')
      await lab.must('block-detach', 'disk', 'xvde')
      spawnSync('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', path, join(folder, 'raw')])
      t.equal(readFileSync(join(folder, 'raw')).toString('latin1', 3 * MiB, 3 * MiB + 6), 'inside')
    })

    await guest.ask('poweroff -f & sleep 100').catch(() => '')
    await guest.ended
    t.same(await lab.leftovers(), [])
  },
)

const PIECE = 4096
/** A shell loop in the guest: piece n holds its number, is flushed, and then told on the console. */
const writer = (disk: string, from: number) =>
  `n=${from}; while :; do printf 'piece %08d' $n | dd of=/dev/${disk} bs=${PIECE} seek=$n conv=sync,fsync 2>/dev/null && echo "${disk} has $n"; n=$((n+1)); done &`

t.test(
  'nothing that a guest has flushed is lost when its process is killed at any moment',
  { skip },
  async (t) => {
    const folder = t.testdir({})
    const raw = image(folder, 'raw.img', 64)
    const qcow2 = join(folder, 'a.qcow2')
    if (canShow) spawnSync('qemu-img', ['create', '-q', '-f', 'qcow2', qcow2, '64M'])
    const lab = new GuestLab(t)
    const disks = [`${raw},raw,xvda,w`, ...(canShow ? [`${qcow2},qcow2,xvdb,w`] : [])]
    const told = { xvda: 0, xvdb: 0 }
    for (let round = 0; round < 2; round++) {
      await lab.must(...create(disks))
      const guest = lab.console('disk')
      await guest.sees(/Root shell on hvc0\./)
      const { pid } = await lab.info('disk')
      // Under load as well: pieces of another kind in the second half.
      guest.type(`${writer('xvda', told.xvda + 1)} ${canShow ? writer('xvdb', told.xvdb + 1) : ''}\n`)
      guest.type('dd if=/dev/zero of=/dev/xvda bs=64k seek=512 count=500 conv=notrunc 2>/dev/null &\n')
      await guest.sees(new RegExp(`xvda has ${told.xvda + 5 + Math.floor(Math.random() * 40)}\r`))
      process.kill(pid, 'SIGKILL')
      const { stdout } = await guest.ended
      for (const disk of ['xvda', 'xvdb'] as const)
        for (const [, n] of `${guest.output}${stdout}`.matchAll(new RegExp(`^${disk} has (\\d+)\r`, 'gm')))
          told[disk] = Math.max(told[disk], Number(n))
      await until('its remains are cleared away', async () => (await lab.row('disk')) === undefined)
    }
    t.comment(`flushed: ${JSON.stringify(told)}`)
    t.ok(told.xvda > 0)
    const check = (bytes: Buffer, count: number) => {
      for (let n = 1; n <= count; n++) {
        const text = bytes.toString('latin1', n * PIECE, n * PIECE + 14)
        if (text !== `piece ${String(n).padStart(8, '0')}`) return `piece ${n} holds ${JSON.stringify(text)}`
      }
      return 'all there'
    }
    t.equal(check(readFileSync(raw), told.xvda), 'all there')
    if (canShow) {
      t.equal(spawnSync('qemu-img', ['check', '-q', qcow2]).status, 0)
      spawnSync('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', qcow2, join(folder, 'out')])
      t.equal(check(readFileSync(join(folder, 'out')), told.xvdb), 'all there')
    }
    t.notMatch(readFileSync('/proc/self/mountinfo', 'utf8'), lab.home)
    t.same(await lab.leftovers(), [])
  },
)
