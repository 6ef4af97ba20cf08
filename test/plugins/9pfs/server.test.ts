/** What a guest can and cannot do with a shared folder, over rings, on a real folder with things beside it. */
import {
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { P9Backend } from '../../../src/plugins/9pfs/backend.ts'
import { type Entry, openFolder } from '../../../src/plugins/9pfs/folder.ts'
import { loadNativeCalls } from '../../../src/plugins/9pfs/native.ts'
import { ERRNO } from '../../../src/plugins/9pfs/refusal.ts'
import { MemoryHost } from '../../../src/testkit/index.ts'
import { NO_FID, type P9Frontend, p9Script } from './frontend.ts'

const ROOT = 1
const { EINVAL, EMFILE, ENOENT, ENOTDIR, EROFS, EOPNOTSUPP, EPERM, EISDIR, EBADF } = ERRNO
const [ENOTEMPTY, EEXIST] = [39, 17]
const CREATE = 0o100
const WRITE = 1
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const bytes = (value: string) => new TextEncoder().encode(value)

interface Scene {
  readonly client: P9Frontend
  /** The shared folder, and the one beside it. */
  readonly shared: string
  readonly outside: string
  readonly root: Entry
}

async function scene(
  t: Test,
  options: { readonly readOnly?: boolean; readonly maxFids?: number; readonly maxOpenFiles?: number } = {},
): Promise<Scene> {
  const place = t.testdir({
    shared: { file: 'content\n', sub: { inner: { deep: 'deep\n' } } },
    outside: { secret: 'secret\n', inner: { deep: 'secret\n' } },
  })
  const shared = join(place, 'shared')
  const { readOnly = false, maxFids = 64, maxOpenFiles = 64 } = options
  const root = openFolder(shared, { readOnly, maxOpen: 256, native: await loadNativeCalls() })
  const host = new MemoryHost()
  const backend = new P9Backend(
    host.xenhost('/local/domain/0/backend/9pfs/6/0'),
    { domid: host.domid, frontendPath: '/local/domain/6/device/9pfs/0' },
    { root, maxFids, maxOpenFiles, defer: (task) => void setImmediate(task), log: host.log },
  )
  const client = p9Script.open(host.guest) as P9Frontend
  for (const [key, value] of Object.entries(client.nodes))
    await host.dom0.write(`/local/domain/6/device/9pfs/0/${key}`, value)
  await backend.connect()
  await client.connected()
  t.teardown(async () => {
    await backend.disconnect()
    const wrong = [...host.faults, ...host.xen.leftovers()]
    if (root.openInFolder !== 1) wrong.push(`${root.openInFolder - 1} descriptors were not given back`)
    root.release()
    await host[Symbol.asyncDispose]()
    if (wrong.length > 0) throw new Error(wrong.join('; '))
  })
  return { client, shared, outside: join(place, 'outside'), root }
}

/** A handle on what these names lead to, one at a time as Linux does. */
async function walk(client: P9Frontend, newfid: number, ...names: readonly string[]): Promise<void> {
  const { qids } = await client.must('walk', { fid: ROOT, newfid, names })
  if (qids.length !== names.length) throw new Error(`only ${qids.length} of ${names.join('/')} are there`)
}
async function readAll(client: P9Frontend, fid: number): Promise<string> {
  await client.must('lopen', { fid, flags: 0 })
  const { data } = await client.must('read', { fid, offset: 0n, count: 4000 })
  return text(data)
}
const names = async (client: P9Frontend, fid: number): Promise<string[]> => {
  const all: string[] = []
  for (let offset = 0n; ; ) {
    const { items } = await client.must('readdir', { fid, offset, count: 300 })
    if (items.length === 0) return all
    all.push(...items.map(({ name }) => name))
    offset = items.at(-1)!.offset
  }
}

t.test('files are read, written, truncated and made durable', async (t) => {
  const { client, shared } = await scene(t)
  await walk(client, 2, 'sub', 'inner', 'deep')
  t.equal(await readAll(client, 2), 'deep\n')
  await walk(client, 3)
  await client.must('lcreate', { fid: 3, name: 'new', flags: CREATE | 2, mode: 0o100640, gid: 0 })
  t.same(await client.must('write', { fid: 3, offset: 3n, data: bytes('hello') }), { count: 5 })
  await client.must('fsync', { fid: 3, datasync: 0 })
  t.equal(readFileSync(join(shared, 'new'), 'latin1'), '\0\0\0hello')
  t.equal(
    statSync(join(shared, 'new')).mode & 0o7777,
    0o640,
    "the mode does not depend on the process's umask",
  )
  const stay = { uid: 0, gid: 0, atimeSec: 0n, atimeNsec: 0n, mtimeSec: 0n, mtimeNsec: 0n }
  await client.must('setattr', { fid: 3, valid: 8, mode: 0, size: 5n, ...stay })
  await client.must('setattr', {
    fid: 3,
    valid: 1 | 256 | 32,
    mode: 0o104755,
    size: 0n,
    ...stay,
    mtimeSec: 1_000_000_000n,
  })
  const { size, mode, mtimeSec, valid } = await client.must('getattr', { fid: 3, mask: 0x7ffn })
  t.same(
    [size, mode, mtimeSec, valid],
    [5n, 0o100755, 1_000_000_000n, 0x7ffn],
    'set-user-ID is not left on the host',
  )
  t.equal(text((await client.must('read', { fid: 3, offset: 3n, count: 100 })).data), 'he')
  t.same((await client.must('read', { fid: 3, offset: 100n, count: 100 })).data.length, 0)
})

t.test('directories are made, listed in pieces, renamed and removed', async (t) => {
  const { client, shared } = await scene(t)
  await client.must('mkdir', { fid: ROOT, name: 'many', mode: 0o755, gid: 0 })
  const made = Array.from({ length: 100 }, (_, n) => `name ${n}`).sort()
  for (const name of made) writeFileSync(join(shared, 'many', name), '')
  await walk(client, 2, 'many')
  await client.must('lopen', { fid: 2, flags: 0 })
  const listed = await names(client, 2)
  t.same(listed.slice(0, 2), ['.', '..'])
  t.same(listed.slice(2).sort(), made)
  t.same(await names(client, 2), listed, 'from the start again')
  t.equal(await client.call('readdir', { fid: 2, offset: 0n, count: 20 }), EINVAL, 'no room for one name')
  t.equal(await client.call('unlinkat', { fid: ROOT, name: 'many', flags: 0x200 }), ENOTEMPTY)
  t.equal(await client.call('unlinkat', { fid: ROOT, name: 'sub', flags: 0 }), EISDIR)
  await client.must('renameat', { from: ROOT, name: 'sub', to: 2, newName: 'moved' })
  await walk(client, 3, 'many', 'moved', 'inner', 'deep')
  await client.must('unlinkat', { fid: 2, name: 'name 0', flags: 0 })
  t.notOk(existsSync(join(shared, 'many', 'name 0')))
})

t.test('links, pipes and further names are what they are on the host; devices cannot be made', async (t) => {
  const { client, shared } = await scene(t)
  await client.must('symlink', { fid: ROOT, name: 'link', target: '../outside/secret', gid: 0 })
  t.equal(readlinkSync(join(shared, 'link')), '../outside/secret')
  await walk(client, 2, 'link')
  t.same(await client.must('readlink', { fid: 2 }), { target: '../outside/secret' })
  t.equal(await client.call('lopen', { fid: 2, flags: 0 }), EOPNOTSUPP, 'a link is not opened')
  t.equal(await client.call('walk', { fid: 2, newfid: 3, names: ['x'] }), ENOTDIR)
  await walk(client, 4, 'file')
  if ((await loadNativeCalls()) !== undefined) {
    await client.must('link', { directory: ROOT, fid: 4, name: 'again' })
    t.equal(statSync(join(shared, 'again')).nlink, 2)
    await client.must('mknod', { fid: ROOT, name: 'pipe', mode: 0o010644, major: 0, minor: 0, gid: 0 })
    t.ok(statSync(join(shared, 'pipe')).isFIFO())
    await walk(client, 5, 'pipe')
    t.equal(
      await client.call('lopen', { fid: 5, flags: 1 }),
      EOPNOTSUPP,
      "a pipe of the host's is not opened",
    )
  }
  t.equal(
    await client.call('mknod', { fid: ROOT, name: 'null', mode: 0o020666, major: 1, minor: 3, gid: 0 }),
    EPERM,
  )
})

t.test('no name leads out of the folder', async (t) => {
  const { client, shared, outside } = await scene(t)
  symlinkSync(outside, join(shared, 'absolute'))
  symlinkSync('../outside', join(shared, 'relative'))
  symlinkSync('.', join(shared, 'here'))
  const call = (name: string) => client.call('walk', { fid: ROOT, newfid: 9, names: [name] })
  for (const name of [
    '..',
    '.',
    '',
    '/',
    '/etc',
    '../outside',
    'sub/inner',
    'sub\0',
    '../../../../../etc/passwd',
  ])
    t.equal(await call(name), EINVAL, JSON.stringify(name))
  for (const link of ['absolute', 'relative', 'here']) {
    const { qids } = await client.must('walk', { fid: ROOT, newfid: 9, names: [link, 'secret'] })
    t.equal(qids.length, 1, `${link} is a link and not followed`)
    t.equal(await client.call('clunk', { fid: 9 }), EBADF)
  }
  await walk(client, 5, 'absolute')
  const through = { fid: 5, gid: 0 }
  t.equal(await client.call('mkdir', { ...through, name: 'x', mode: 0o755 }), ENOTDIR)
  t.equal(await client.call('lcreate', { ...through, name: 'x', flags: 2, mode: 0o644 }), ENOTDIR)
  t.equal(await client.call('renameat', { from: ROOT, name: 'file', to: 5, newName: 'x' }), ENOTDIR)
  t.equal(await client.call('unlinkat', { fid: 5, name: 'secret', flags: 0 }), ENOTDIR)
  for (const name of ['../outside/x', '..', '/tmp/x']) {
    t.equal(await client.call('lcreate', { fid: ROOT, gid: 0, name, flags: 2, mode: 0o644 }), EINVAL)
    t.equal(await client.call('renameat', { from: ROOT, name: 'file', to: ROOT, newName: name }), EINVAL)
    t.equal(await client.call('symlink', { fid: ROOT, name, target: 'x', gid: 0 }), EINVAL)
  }
  await client.must('walk', { fid: ROOT, newfid: 6, names: [] })
  // A link at the last word: neither created through nor opened through.
  symlinkSync(join(outside, 'new'), join(shared, 'dangling'))
  symlinkSync(join(outside, 'secret'), join(shared, 'secret'))
  for (const name of ['dangling', 'secret'])
    t.equal(
      await client.call('lcreate', { fid: 6, name, flags: WRITE | 0o1000, mode: 0o644, gid: 0 }),
      EOPNOTSUPP,
    )
  t.equal(
    await client.call('lcreate', { fid: 6, name: 'secret', flags: WRITE | 0o200, mode: 0o644, gid: 0 }),
    EEXIST,
  )
  const stay = { uid: 0, gid: 0, atimeSec: 0n, atimeNsec: 0n, mtimeSec: 0n, mtimeNsec: 0n }
  await walk(client, 7, 'secret')
  const onLink = { fid: 7, mode: 0o777, size: 0n, ...stay }
  t.equal(await client.call('setattr', { ...onLink, valid: 1 }), EOPNOTSUPP)
  t.equal(await client.call('setattr', { ...onLink, valid: 8 }), EINVAL)
  await client.must('setattr', { ...onLink, valid: 32 | 256, mtimeSec: 5n })
  t.not(statSync(join(outside, 'secret')).mtimeMs, 5000)
  t.same(readdirSync(outside).sort(), ['inner', 'secret'])
  t.equal(readFileSync(join(outside, 'secret'), 'utf8'), 'secret\n')
})

t.test('a directory that becomes a link between two requests leads nowhere else', async (t) => {
  const { client, shared, outside } = await scene(t)
  await walk(client, 2, 'sub')
  await walk(client, 3, 'sub', 'inner')
  await walk(client, 4, 'sub', 'inner', 'deep')
  renameSync(join(shared, 'sub'), join(shared, 'elsewhere'))
  symlinkSync(outside, join(shared, 'sub'))
  await client.must('walk', { fid: 2, newfid: 5, names: ['inner', 'deep'] })
  t.equal(await readAll(client, 5), 'deep\n', 'what the handle was on')
  await client.must('walk', { fid: 3, newfid: 6, names: ['deep'] })
  t.equal(await readAll(client, 6), 'deep\n')
  await client.must('mkdir', { fid: 2, name: 'made', mode: 0o755, gid: 0 })
  t.ok(existsSync(join(shared, 'elsewhere', 'made')))
  rmSync(join(shared, 'elsewhere', 'inner', 'deep'))
  symlinkSync(join(outside, 'secret'), join(shared, 'elsewhere', 'inner', 'deep'))
  t.equal(await readAll(client, 4), 'deep\n', 'a file that has lost its name')
  t.equal(await client.call('walk', { fid: 3, newfid: 7, names: ['..'] }), EINVAL)
  t.same(readdirSync(outside).sort(), ['inner', 'secret'])
})

t.test(
  'a guest that swaps links and directories while it walks never sees what is beside the folder',
  async (t) => {
    const { client, shared, outside } = await scene(t)
    const steps = fc.array(fc.constantFrom('swap', 'walk', 'open', 'make', 'link'), {
      minLength: 5,
      maxLength: 25,
    })
    let fid = 100
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        let isLink = false
        for (const step of all) {
          if (step === 'swap') {
            // By the host, as a second guest with the same folder would.
            if (isLink) rmSync(join(shared, 'sub'))
            if (isLink) renameSync(join(shared, 'aside'), join(shared, 'sub'))
            else renameSync(join(shared, 'sub'), join(shared, 'aside'))
            if (!isLink) symlinkSync(outside, join(shared, 'sub'))
            isLink = !isLink
          }
          fid++
          const reply = await client.must('walk', { fid: ROOT, newfid: fid, names: ['sub', 'inner', 'deep'] })
          t.equal(reply.qids.length, isLink ? 1 : 3)
          if (isLink) continue
          if (step === 'open') t.equal(await readAll(client, fid), 'deep\n')
          await client.must('clunk', { fid })
        }
        if (isLink) {
          rmSync(join(shared, 'sub'))
          renameSync(join(shared, 'aside'), join(shared, 'sub'))
        }
      }),
      { numRuns: 20 },
    )
    t.same(readdirSync(outside).sort(), ['inner', 'secret'])
  },
)

t.test('names are bytes: what is no UTF-8 can be made, listed, found and removed', async (t) => {
  const { client, shared } = await scene(t)
  const hard = ['\xff\xfe', 'a b', 'quote\'"', '\n', '-rf', '...', '\xc3\xa4', 'x'.repeat(255)]
  for (const name of hard) await client.must('mkdir', { fid: ROOT, name, mode: 0o700, gid: 0 })
  await client.must('walk', { fid: ROOT, newfid: 2, names: [] })
  await client.must('lopen', { fid: 2, flags: 0 })
  t.same((await names(client, 2)).sort(), ['.', '..', 'file', 'sub', ...hard].sort())
  t.ok(readdirSync(shared).includes('ä'))
  for (const [n, name] of hard.entries()) await walk(client, 10 + n, name)
  for (const name of hard) await client.must('unlinkat', { fid: ROOT, name, flags: 0x200 })
  t.equal(await client.call('mkdir', { fid: ROOT, name: 'x'.repeat(256), mode: 0o700, gid: 0 }), 36)
})

t.test('a read-only folder is read, and nothing in it can be changed', async (t) => {
  const { client, shared } = await scene(t, { readOnly: true })
  await walk(client, 2, 'file')
  t.equal(await readAll(client, 2), 'content\n')
  await walk(client, 3, 'file')
  const stay = { uid: 0, gid: 0, atimeSec: 0n, atimeNsec: 0n, mtimeSec: 0n, mtimeNsec: 0n }
  const refused = [
    client.call('lopen', { fid: 3, flags: WRITE }),
    client.call('lopen', { fid: 3, flags: 0o1000 }),
    client.call('setattr', { fid: 3, valid: 511, mode: 0o777, size: 0n, ...stay }),
    client.call('lcreate', { fid: ROOT, name: 'new', flags: 0, mode: 0o644, gid: 0 }),
    client.call('mkdir', { fid: ROOT, name: 'new', mode: 0o755, gid: 0 }),
    client.call('symlink', { fid: ROOT, name: 'new', target: 'x', gid: 0 }),
    client.call('mknod', { fid: ROOT, name: 'new', mode: 0o100644, major: 0, minor: 0, gid: 0 }),
    client.call('link', { directory: ROOT, fid: 3, name: 'new' }),
    client.call('renameat', { from: ROOT, name: 'file', to: ROOT, newName: 'new' }),
    client.call('unlinkat', { fid: ROOT, name: 'file', flags: 0 }),
    client.call('unlinkat', { fid: ROOT, name: 'sub', flags: 0x200 }),
  ]
  for (const [n, reply] of (await Promise.all(refused)).entries()) t.equal(reply, EROFS, `request ${n}`)
  t.same(readdirSync(shared).sort(), ['file', 'sub'])
  t.equal(statSync(join(shared, 'file')).size, 8)
})

t.test('handles and open files are as many as allowed, and a used number is not given again', async (t) => {
  const { client } = await scene(t, { maxFids: 8, maxOpenFiles: 2 })
  for (let newfid = 2; newfid <= 8; newfid++) await walk(client, newfid, 'file')
  t.equal(await client.call('walk', { fid: ROOT, newfid: 9, names: [] }), EMFILE)
  await client.must('clunk', { fid: 8 })
  t.equal(await client.call('walk', { fid: ROOT, newfid: 7, names: [] }), EBADF)
  t.equal(await client.call('walk', { fid: ROOT, newfid: NO_FID, names: [] }), EBADF)
  await client.must('lopen', { fid: 2, flags: 0 })
  await client.must('lopen', { fid: 3, flags: 0 })
  t.equal(await client.call('lopen', { fid: 4, flags: 0 }), EMFILE)
  t.equal(await client.call('lopen', { fid: 3, flags: 0 }), EBADF, 'it is open already')
  await client.must('clunk', { fid: 2 })
  await client.must('lopen', { fid: 4, flags: 0 })
  t.equal(await client.call('read', { fid: 5, offset: 0n, count: 1 }), EBADF)
  t.equal(await client.call('walk', { fid: ROOT, newfid: 9, names: ['absent'] }), ENOENT)
})

t.test('a version request ends the session before it; what is unknown is refused by number', async (t) => {
  const { client, root } = await scene(t)
  await walk(client, 2, 'file')
  await client.must('lopen', { fid: 2, flags: 0 })
  const asked = { msize: 1 << 30, version: '9P2000.L' }
  t.same(await client.must('version', asked, 0xffff), { msize: client.msize, version: '9P2000.L' })
  t.equal(root.openInFolder, 1)
  t.equal(await client.call('clunk', { fid: 2 }), EBADF)
  t.same(await client.must('version', { msize: 5000, version: '9P2000.u' }, 0xffff), {
    msize: 5000,
    version: 'unknown',
  })
  t.equal(await client.call('auth', { afid: 1, uname: '', aname: '', uid: 0 }), EOPNOTSUPP)
  t.equal(await client.call('xattrwalk', { fid: 1, newfid: 2, name: 'user.x' }), EOPNOTSUPP)
})

t.test('a flush is answered after the request that it is about', async (t) => {
  const { client } = await scene(t)
  await walk(client, 2, 'file')
  await client.must('lopen', { fid: 2, flags: 2 })
  const waiting = client.send('fsync', { fid: 2, datasync: 0 }, 50)
  const flush = client.send('flush', { oldtag: 50 }, 52)
  await client.must('clunk', { fid: 2 }, 54)
  await client.reply('flush', flush)
  t.ok(client.hasReply(waiting), 'the request was answered before')
  t.same(await client.reply('fsync', waiting), {})
})
