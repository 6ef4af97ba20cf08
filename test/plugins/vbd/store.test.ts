import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { createLog } from '../../../src/base/log.ts'
import { deviceGeometry, type ImageOptions, openImage } from '../../../src/plugins/vbd/image.ts'
import { loadImageLock } from '../../../src/plugins/vbd/image-lock.ts'
import { loadPunchHole } from '../../../src/plugins/vbd/punch-hole.ts'
import { FileStore } from '../../../src/plugins/vbd/store.ts'
import { xvda } from './frontend.ts'

const KiB = 1024

const qemuIoMissing = () =>
  spawnSync('qemu-io', ['--version']).error === undefined ? false : 'no qemu-io (Debian: qemu-utils)'

/** Some bytes of shared memory, as guest pages are. */
const shared = (length: number) => new Uint8Array(new SharedArrayBuffer(length))

const logged: string[] = []
const options = (path: string, more: Partial<ImageOptions> = {}): ImageOptions => ({
  path,
  sectorSize: 512,
  lock: true,
  log: createLog((_level, line) => logged.push(line)),
  ...more,
})

async function opened(t: Test, content: Uint8Array, readwrite = true): Promise<[FileStore, string]> {
  const target = join(t.testdir(), 'disk.raw')
  writeFileSync(target, content)
  const image = await openImage({ ...xvda, target, readwrite }, options(target))
  t.teardown(() => image[Symbol.asyncDispose]())
  return [new FileStore(image.fd, image.geometry, await loadPunchHole()), target]
}

t.test('what is written in pieces lies in the file, and is read back into other pieces', async (t) => {
  const [store, target] = await opened(t, new Uint8Array(64 * KiB))
  t.match({ ...store }, { sectors: 128, sectorSize: 512, physicalSectorSize: 512, device: undefined })
  const model = new Uint8Array(64 * KiB)
  const sizes = fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(sizes, fc.nat(16), fc.nat(255), async (pieces, sector, seed) => {
      const memory = shared(64 * KiB)
      for (let i = 0; i < memory.length; i++) memory[i] = (seed + i * 13) & 0xff
      let at = 0
      const views = pieces.map((sectors) => {
        at += sectors * 512
        return memory.subarray(at - sectors * 512, at)
      })
      store.write(views, sector * 512)
      model.set(memory.subarray(0, at), sector * 512)
      const back = shared(at)
      store.read([back.subarray(0, 100), back.subarray(100)], sector * 512)
      return Buffer.compare(back, memory.subarray(0, at)) === 0
    }),
    { numRuns: 30 },
  )
  await store.flush()
  t.equal(Buffer.compare(readFileSync(target), model), 0)
})

t.test('a request of more pieces than one system call takes is done whole', async (t) => {
  const [store] = await opened(
    t,
    Uint8Array.from({ length: 4 * KiB }, (_, i) => i & 0xff),
  )
  const memory = shared(2 * KiB)
  store.read(
    Array.from(memory, (_, i) => memory.subarray(i, i + 1)),
    512,
  )
  t.same([memory[0], memory[1], memory[2047]], [0, 1, 255])
})

t.test('a file that became shorter is an error, not zeroes', async (t) => {
  const [store, target] = await opened(t, new Uint8Array(8 * KiB))
  truncateSync(target, 4 * KiB)
  t.throws(() => store.read([shared(8 * KiB)], 0), { code: 'EOF' })
})

t.test('a tail shorter than a sector is no part of the disk', async (t) => {
  const [store] = await opened(t, new Uint8Array(1300))
  t.equal(store.sectors, 2)
})

t.test(
  'a discard makes a hole that reads as zeroes; the file keeps its size',
  { skip: (await loadPunchHole()) === undefined ? 'koffi is not installed' : false },
  async (t) => {
    const [store, target] = await opened(t, new Uint8Array(1024 * KiB).fill(7))
    await store.flush()
    const before = statSync(target)
    store.discard?.run(512 * KiB, 256 * KiB)
    await store.flush()
    t.equal(statSync(target).size, before.size)
    t.ok(statSync(target).blocks < before.blocks, 'the host has its blocks back')
    const memory = shared(8)
    store.read([memory], 512 * KiB - 4)
    t.same([...memory], [7, 7, 7, 7, 0, 0, 0, 0])
  },
)

t.test('a read-only disk is not opened for writing and offers no discard', async (t) => {
  const [store] = await opened(t, new Uint8Array(4 * KiB), false)
  t.throws(() => store.write([shared(512)], 0), { code: 'EBADF' })
  t.equal(store.discard, undefined)
})

t.test(
  'an image has one writer; readers may look on',
  { skip: (await loadImageLock()) === undefined ? 'koffi is not installed' : false },
  async (t) => {
    const target = join(t.testdir({ 'a.img': 'x'.repeat(4096) }), 'a.img')
    const open = (readwrite: boolean) => openImage({ ...xvda, target, readwrite }, options(target))
    await using writer = await open(true)
    await t.rejects(open(true), {
      code: 'XT_VBD_LOCKED',
      message: /xvda: .*a.img is in use by this domain itself/,
    })
    await using _reader = await open(false)
    const other = spawnSync(process.execPath, ['-e', `fs.openSync(${JSON.stringify(target)}, 'r+')`])
    t.equal(other.status, 0, 'locks are for those who ask')
    const qemu = spawnSync('qemu-io', ['-f', 'raw', '-c', 'write 0 512', target], { encoding: 'utf8' })
    if (qemu.error === undefined) t.match(qemu.stderr, /Failed to get .* lock/)
    else t.comment('no qemu-io to ask (Debian: qemu-utils)')
    await writer[Symbol.asyncDispose]()
    await using _next = await open(true)
  },
)

t.test('an image that QEMU writes is refused, and QEMU is named', { skip: qemuIoMissing() }, async (t) => {
  const target = join(t.testdir({ 'a.img': 'x'.repeat(4096) }), 'a.img')
  const child = spawn('qemu-io', ['-f', 'raw', target], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => child.kill())
  child.stdin.write('write 0 512\n')
  await once(child.stdout, 'data')
  await t.rejects(openImage({ ...xvda, target }, options(target)), {
    code: 'XT_VBD_LOCKED',
    message: /in use by qemu-io .*\(process \d+\)/,
  })
})

t.test('a raw image that looks like a container is served raw, with a word of warning', async (t) => {
  const target = join(t.testdir(), 'a.img')
  writeFileSync(target, Buffer.concat([Buffer.from('QFI\xfb', 'latin1'), Buffer.alloc(4096)]))
  logged.length = 0
  await using image = await openImage({ ...xvda, target }, options(target))
  t.equal(image.geometry.sectors, 8)
  t.match(logged, [/a.img is served as a raw image but looks like another format: say format=qcow2\?/])
})

t.test('a file may be shown with sectors of 4096 bytes', async (t) => {
  const target = join(t.testdir({ 'a.img': 'x'.repeat(10_000) }), 'a.img')
  await using image = await openImage({ ...xvda, target }, options(target, { sectorSize: 4096 }))
  t.match(image.geometry, { sectors: 16, sectorSize: 4096, physicalSectorSize: 4096 })
})

t.test('an image that grows or is deleted is noticed', async (t) => {
  const target = join(t.testdir({ 'a.img': 'x'.repeat(4096) }), 'a.img')
  await using image = await openImage({ ...xvda, target }, options(target))
  t.same(await image.measure(), { hasNewSize: false, isDeleted: false })
  truncateSync(target, 8192)
  t.same(await image.measure(), { hasNewSize: true, isDeleted: false })
  t.equal(image.geometry.sectors, 16)
  rmSync(target)
  t.same(await image.measure(), { hasNewSize: false, isDeleted: true })
})

t.test('direct I/O: the same bytes past the page cache', async (t) => {
  const target = join(t.testdir({ 'a.img': 'x'.repeat(16_384) }), 'a.img')
  await using image = await openImage({ ...xvda, target, directIoSafe: true }, options(target))
  const store = new FileStore(image.fd, image.geometry, undefined)
  const memory = new Uint8Array(
    new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer as SharedArrayBuffer,
  )
  memory.fill(7, 0, 4096)
  store.write([memory.subarray(0, 4096)], 4096)
  store.read([memory.subarray(4096, 12_288)], 0)
  t.same([memory[4096], memory[8192], memory[12_287]], ['x'.charCodeAt(0), 7, 7])
})

t.test('what cannot be a disk is named', async (t) => {
  const dir = t.testdir({ short: 'x', locked: 'x'.repeat(600) })
  mkdirSync(join(dir, 'folder'))
  symlinkSync('/nowhere', join(dir, 'dangling'))
  execFileSync('mkfifo', [join(dir, 'pipe')])
  const open = (name: string, readwrite: boolean) =>
    openImage({ ...xvda, target: join(dir, name), readwrite }, options(join(dir, name)))
  for (const readwrite of [true, false]) {
    await t.rejects(open('missing', readwrite), {
      code: 'XT_VBD_MISSING',
      message: /xvda: .*missing does not/,
    })
    await t.rejects(open('dangling', readwrite), { code: 'XT_VBD_MISSING' })
    await t.rejects(open('folder', readwrite), { code: 'XT_VBD_NO_DISK', message: /a directory/ })
    await t.rejects(open('pipe', readwrite), { code: 'XT_VBD_NO_DISK', message: /neither a file nor/ })
    await t.rejects(open('short', readwrite), { code: 'XT_VBD_NO_DISK', message: /shorter than a sector/ })
  }
  await t.rejects(openImage({ ...xvda, target: '/dev/null' }, options('/dev/null')), {
    code: 'XT_VBD_NO_DISK',
  })
  if (process.getuid?.() === 0) return t.comment('root may open everything')
  chmodSync(join(dir, 'locked'), 0o400)
  await t.rejects(open('locked', true), { code: 'XT_VBD_DENIED', hint: /access=ro/ })
  t.equal((await open('locked', false)).geometry.sectors, 1)
})

t.test('the kernel says what a block device is like; a partition has its disk’s limits', async (t) => {
  const queue = { logical_block_size: '4096\n', physical_block_size: '4096\n', discard_granularity: '0\n' }
  const sysfs = t.testdir({
    disk: { size: '2048\n', queue, part: { size: '1024\n' } },
    '259:0': t.fixture('symlink', 'disk'),
    '259:300': t.fixture('symlink', 'disk/part'),
  })
  const limits = { sectorSize: 4096, physicalSectorSize: 4096, granularity: 0 }
  const rdev = (major: number, minor: number) => ((minor & 0xfff00) << 12) | (major << 8) | (minor & 0xff)
  t.same(deviceGeometry(rdev(259, 0), sysfs), { sectors: 2048, device: '103:0', ...limits })
  t.same(deviceGeometry(rdev(259, 300), sysfs), { sectors: 1024, device: '103:12c', ...limits })
  t.throws(() => deviceGeometry(rdev(7, 9), sysfs), { code: 'ENOENT' })
})
