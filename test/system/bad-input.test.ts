/**
 * What a user can do wrong on the way to a running guest: each mistake gets one sentence (below it the place in
 * the configuration, if it is one, and what to do), xl's exit status, and leaves nothing running and no file behind.
 */
import { chmodSync, existsSync, readdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { logDir } from '../../src/engine/paths.ts'
import { buildHello } from '../../src/testkit/micro-guests/hello.ts'
import type { Result } from '../commands/fake-domain.ts'
import { bzImage, elfFile } from '../engine/boot/elf-file.ts'
import { GuestLab, until } from './guest.ts'

t.setTimeout(600_000)

const MEBIBYTE = 1 << 20

/** A lab with hello.cfg, a guest that needs no download; settings on the command line make it wrong. */
function helloLab(t: Test) {
  const lab = new GuestLab(t)
  const file = (name: string, bytes: Uint8Array | string): string => {
    const path = join(lab.home, name)
    writeFileSync(path, bytes)
    return path
  }
  const kernel = file('hello.elf', buildHello())
  const cfg = file('hello.cfg', `name="hello"\ntype="pvh"\nmemory=64\nkernel="${kernel}"\n`)
  return { lab, file, kernel, cfg }
}

/** Nothing on standard output, the sentence first and few lines in all on the other, this status. */
function assertRefused(t: Test, result: Result, status: number, sentence: RegExp): void {
  const [first, ...more] = result.stderr.split('\n')
  t.match(first, sentence)
  // Of the configuration: the line, the caret, the hint. Else the hint. And what follows the last newline.
  const room = /^\S+:\d+:\d+: error: |^command line:/.test(first!) ? 4 : 2
  t.ok(more.length <= room && more.at(-1) === '', `no more than a hint behind it: ${more.join(' | ')}`)
  t.equal(result.stdout, '')
  t.equal(result.status, status)
}

t.test('a kernel, ramdisk, size, type or plugin that will not do', async (t) => {
  const { lab, file, kernel, cfg } = helloLab(t)
  const unreadable = file('secret.elf', buildHello())
  chmodSync(unreadable, 0)
  const large = file('large.cpio', '')
  truncateSync(large, 80 * MEBIBYTE)
  const wide = elfFile({
    entry: 0x100000,
    segments: [{ paddr: 0x100000, data: new Uint8Array(4096), memSize: 100 * MEBIBYTE }],
  })
  const packed = bzImage(gzipSync(elfFile()))
  const isRoot = process.getuid?.() === 0
  const rows: readonly (readonly [string, string, number, RegExp, (string | false)?])[] = [
    ['missing kernel', 'kernel="/nosuch/vmlinuz"', 3, /^kernel \/nosuch\/vmlinuz: there is no such file$/],
    [
      'kernel that may not be read',
      `kernel="${unreadable}"`,
      3,
      /^kernel .*secret\.elf: you may not read it$/,
      isRoot && 'root may read everything',
    ],
    ['directory as kernel', `kernel="${lab.home}"`, 3, /^kernel .*: it is no regular file$/],
    ['empty name of a kernel', 'kernel=""', 3, /^kernel/],
    [
      'file that is no kernel',
      `kernel="${cfg}"`,
      3,
      /^.*hello\.cfg is not a kernel: it is neither a Linux bzImage nor an ELF file$/,
    ],
    ['empty kernel', `kernel="${file('empty', '')}"`, 3, /^.*empty is not a kernel/],
    [
      '32-bit kernel',
      `kernel="${file('old.elf', elfFile({ bits: 32 }))}"`,
      3,
      /^.*old\.elf is a 32-bit kernel without a PVH entry/,
    ],
    [
      'kernel without PVH entry',
      `kernel="${file('pv.elf', elfFile({}))}"`,
      3,
      /^.*pv\.elf is a 64-bit kernel without a PVH entry/,
    ],
    [
      'kernel for another processor',
      `kernel="${file('arm.elf', elfFile({ machine: 183 }))}"`,
      3,
      /^.*arm\.elf is a kernel for AArch64, not for x86$/,
    ],
    [
      'truncated bzImage',
      `kernel="${file('cut.bz', packed.slice(0, packed.length - 20))}"`,
      3,
      /^.*cut\.bz ends too early: its header describes \d+ bytes, the file has \d+$/,
    ],
    ['missing ramdisk', 'ramdisk="/nosuch/initrd"', 3, /^ramdisk \/nosuch\/initrd: there is no such file$/],
    [
      'ramdisk larger than memory',
      `ramdisk="${large}"`,
      3,
      /^the ramdisk of 80 MiB does not fit: of the guest's 64 MiB the kernel leaves \d+ MiB$/,
    ],
    [
      'memory too small for the kernel',
      `kernel="${file('wide.elf', wide)}"`,
      3,
      /^.*wide\.elf must be loaded at 0x100000-0x6500000, the guest's memory ends at 0x4000000 \(64 MiB\)$/,
    ],
    [
      'memory too small for anything',
      'memory=1',
      3,
      /memory of 1 MiB is too small|memory ends at 0x100000 \(1 MiB\)/,
    ],
    [
      'more memory than there can be',
      'memory=100000',
      3,
      /^cannot make a machine of 100000 MiB with 1 vCPUs?$/,
    ],
    ['PV guest', 'type="pv"', 1, /PV guests cannot be run/],
    ['HVM guest', 'type="hvm"', 1, /HVM/],
    [
      'device without a backend',
      'channel=["connection=pty,name=agent"]',
      3,
      /^channel= is given, but no plugin of this domain serves such devices$/,
    ],
    ['unknown plugin', 'plugins=["nosuch"]', 1, /^plugin nosuch: /],
    ['empty name', 'name=""', 1, /name/],
    ['syntax', 'memory=[', 1, /^command line:1:9: error: unexpected end of the file/],
  ]
  const logs = () => (existsSync(logDir(lab.paths)) ? readdirSync(logDir(lab.paths)) : [])
  for (const [what, setting, status, sentence, skip = false] of rows) {
    await t.test(`${what}: ${setting.replace(lab.home, '')}`, { skip }, async (t) => {
      assertRefused(t, await lab.xt('create', '-q', cfg, setting), status, sentence)
      t.same(await lab.leftovers(), [])
      t.same(logs(), [], 'nor a log that says nothing more')
    })
  }
  const none = file('none.cfg', 'name="hello"\ntype="pvh"\nmemory=64\n')
  assertRefused(
    t,
    await lab.xt('create', '-q', none),
    1,
    /none\.cfg:1:1: error: neither `kernel' nor `bootloader' is given$/,
  )
  t.equal((await lab.xt('create', '-q', '-p', cfg, `kernel="${kernel}"`)).status, 0, 'and then a good one')
})

t.test('a name in use, a second console, a domain that is not there', async (t) => {
  const { lab, cfg } = helloLab(t)
  await lab.must('create', '-q', cfg)
  assertRefused(
    t,
    await lab.xt('create', '-q', cfg),
    3,
    /^Domain with name "hello" already exists \(domid 1\)\.$/,
  )
  const first = lab.console('hello')
  await first.sees(/> $/)
  assertRefused(
    t,
    await lab.xt('console', 'hello'),
    11,
    /^The console of hello is in use by another `xt console`\.$/,
  )
  first.type('still here\r')
  await first.sees(/you said: still here/)
  for (const verb of ['console', 'destroy', 'pause', 'unpause', 'shutdown', 'reboot']) {
    for (const name of ['nosuch', '99']) {
      const sentence = new RegExp(`^${name} is an invalid domain identifier: no such domain$`)
      assertRefused(t, await lab.xt(verb, name), 1, sentence)
    }
  }
  t.match(await lab.row('hello'), ['hello', '1'])
  await lab.must('destroy', 'hello')
  t.equal((await first.ended).status, 0)
  t.same(await lab.leftovers(), [])
})

t.test('what a killed domain process left is no domain, and is gone after the first command', async (t) => {
  const { lab, cfg } = helloLab(t)
  const kill = async (): Promise<void> => {
    const { pid, domid } = await lab.info('hello')
    process.kill(pid, 'SIGKILL')
    await until('it is dead', async () => (await lab.left()).every((left) => !left.startsWith('process')))
    const socket = join(lab.paths.runDir, 'domains', `${domid}`, 'control.sock')
    t.ok((await lab.left()).includes(socket), 'a stale socket is there')
  }
  for (const verb of ['console', 'destroy', 'pause']) {
    await lab.must('create', '-q', '-p', cfg)
    await kill()
    const sentence = /^hello is an invalid domain identifier: no such domain$/
    assertRefused(t, await lab.xt(verb, 'hello'), 1, sentence)
    t.same(await lab.leftovers(), [], `after ${verb}`)
  }
  await lab.must('create', '-q', '-p', cfg)
  await kill()
  await lab.must('create', '-q', '-p', cfg)
  t.match(await lab.row('hello'), ['hello', '5'], 'its name is free at once')
})
