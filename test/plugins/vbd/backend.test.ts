import t, { type Test } from 'tap'
import { emptyStore } from '../../../src/plugins/vbd/medium.ts'
import { GTF } from '../../../src/xen/abi/grant_table.ts'
import { BLKIF_OP, BLKIF_RSP, blkif_request } from '../../../src/xen/abi/io/blkif.ts'
import { FrontRing } from '../../../src/xen/ring/ring.ts'
import {
  BACK,
  DATA_GFN,
  DATA_REF,
  FRONT,
  Frontend,
  type FrontendOptions,
  MemoryDisk,
  settle,
  xvda,
} from './frontend.ts'

const { READ, WRITE, WRITE_BARRIER, FLUSH_DISKCACHE, DISCARD } = BLKIF_OP
const { OKAY, ERROR, EOPNOTSUPP } = BLKIF_RSP
const TABLE = { ref: 30, gfn: 0x280 }

async function connected(t: Test, options?: FrontendOptions): Promise<Frontend> {
  const frontend = new Frontend(options)
  t.teardown(() => frontend[Symbol.dispose]())
  frontend.dataPages(64)
  await frontend.backend.connect()
  return frontend
}

for (const abi of [64, 32] as const) {
  t.test(`a ${abi}-bit guest reads and writes sectors of its pages`, async (t) => {
    const f = await connected(t, { abi })
    f.page(DATA_GFN + 2).fill(0xee)
    t.same(
      await f.ask(
        f.transfer(READ, 1n, 3n, [
          [DATA_REF, 7, 7],
          [DATA_REF + 2, 0, 1],
        ]),
      ),
      [{ id: 1n, operation: READ, status: OKAY }],
    )
    t.same(f.page(DATA_GFN).subarray(3584), f.disk.bytes.subarray(1536, 2048))
    t.same(f.page(DATA_GFN + 2).subarray(0, 1024), f.disk.bytes.subarray(2048, 3072))
    t.ok(
      f
        .page(DATA_GFN + 2)
        .subarray(1024)
        .every((byte) => byte === 0xee),
      'sectors that were not named stay',
    )
    f.page(DATA_GFN + 1).fill(0x5a)
    const before = f.disk.bytes.slice()
    t.same(await f.ask(f.transfer(WRITE, 2n, 255n, [[DATA_REF + 1, 4, 4]])), [
      { id: 2n, operation: WRITE, status: OKAY },
    ])
    before.fill(0x5a, 255 * 512)
    t.equal(Buffer.compare(f.disk.bytes, before), 0, 'the last sector and no other')
    t.equal(f.flags(DATA_REF), GTF.permit_access, 'pages are given back')
    t.ok(f.notified > 0)
    await f.backend.disconnect()
    t.same([f.bound, f.local.leftovers()], [0, []])
  })
}

t.test('an indirect request moves 256 segments and is answered with its inner operation', async (t) => {
  const f = await connected(t, { order: 4 })
  const segments = Array.from({ length: 256 }, (_, n) => [DATA_REF + (n % 64), n >> 6, n >> 6] as const)
  t.same(await f.ask(f.indirect(READ, 9n, 0n, segments, TABLE)), [{ id: 9n, operation: READ, status: OKAY }])
  for (const n of [0, 63, 64, 255]) {
    const piece = f.page(DATA_GFN + (n % 64)).subarray((n >> 6) * 512, ((n >> 6) + 1) * 512)
    t.same(piece, f.disk.bytes.subarray(n * 512, (n + 1) * 512))
  }
  t.same(f.disk.done, ['read 0 131072'])
  t.equal(f.flags(TABLE.ref), GTF.permit_access | GTF.readonly)
})

for (const order of [undefined, 0, 1, 4]) {
  t.test(
    `a ring of ${order === undefined ? 'one page' : `order ${order}`} is used to its end, again and again`,
    async (t) => {
      // Indices wrap at 2^32 on the way.
      const f = await connected(t, { ...(order === undefined ? {} : { order }), startAt: -40 })
      let id = 0n
      for (let round = 0; round < 3; round++) {
        const requests = Array.from({ length: f.ring.free() }, () =>
          f.transfer(READ, id++, 1n, [[DATA_REF, 0, 0]]),
        )
        const answers = await f.ask(...requests)
        t.same(
          answers.map((answer) => [answer.id, answer.status]),
          requests.map((_, n) => [id - BigInt(requests.length - n), OKAY]),
        )
      }
    },
  )
}

t.test('a flush is answered when it is done; reads go on beside it', async (t) => {
  const f = await connected(t)
  f.disk.holdFlushes = true
  const read = f.transfer(READ, 2n, 0n, [[DATA_REF, 0, 7]])
  t.same(
    (await f.ask(f.transfer(FLUSH_DISKCACHE, 1n, 0n, []), read)).map(({ id }) => id),
    [2n],
  )
  f.disk.flushes.pop()?.()
  await settle()
  t.same(f.answers(), [{ id: 1n, operation: FLUSH_DISKCACHE, status: OKAY }])
})

t.test('a barrier is on the medium before it is answered, and nothing overtakes it', async (t) => {
  const f = await connected(t)
  const write = (operation: number, id: bigint, sector: bigint) =>
    f.transfer(operation, id, sector, [[DATA_REF, 0, 0]])
  const answers = await f.ask(write(WRITE, 1n, 1n), write(WRITE_BARRIER, 2n, 2n), write(WRITE, 3n, 3n))
  t.same(f.disk.done, ['write 512 512', 'flush', 'write 1024 512', 'flush', 'write 1536 512'])
  t.same(
    answers.map(({ id, status }) => [id, status]),
    [
      [1n, OKAY],
      [2n, OKAY],
      [3n, OKAY],
    ],
  )
})

t.test(
  'a discard gives sectors back; a secure one, and any on a disk without it, is not supported',
  async (t) => {
    const f = await connected(t)
    t.same(
      (await f.ask(f.discard(1n, 8n, 8n), f.discard(2n, 8n, 8n, 1))).map(({ status }) => status),
      [OKAY, EOPNOTSUPP],
    )
    t.same(f.disk.done, ['discard 4096 4096'])
    const none = await connected(t, { disk: { readwrite: false } })
    t.same(await none.ask(none.discard(1n, 0n, 1n)), [{ id: 1n, operation: DISCARD, status: EOPNOTSUPP }])
  },
)

t.test('a read-only disk is read and never written', async (t) => {
  const f = await connected(t, { disk: { readwrite: false } })
  const one = [[DATA_REF, 0, 0]] as const
  const answers = await f.ask(
    f.transfer(READ, 1n, 0n, one),
    f.transfer(WRITE, 2n, 0n, one),
    f.transfer(WRITE_BARRIER, 3n, 0n, one),
    f.indirect(WRITE, 4n, 0n, one, TABLE),
  )
  t.same(
    answers.map(({ status }) => status),
    [OKAY, ERROR, ERROR, ERROR],
  )
  t.same(f.disk.done, ['read 0 512'])
})

t.test('an error of the host is an I/O error in the guest and one line for the user', async (t) => {
  const f = await connected(t)
  f.disk.failure = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
  const write = (id: bigint) => f.transfer(WRITE, id, 0n, [[DATA_REF, 0, 0]])
  t.same(
    (await f.ask(write(1n), write(2n))).map(({ status }) => status),
    [ERROR, ERROR],
  )
  t.match(f.lines, [/^write failed on the host: ENOSPC/])
  t.equal(f.lines.length, 1)
  f.disk.failure = undefined
  t.same(
    (await f.ask(write(3n))).map(({ status }) => status),
    [OKAY],
    'the disk goes on',
  )
})

t.test('requests that were there before the port was bound are served', async (t) => {
  const f = new Frontend()
  t.teardown(() => f[Symbol.dispose]())
  f.dataPages(1)
  f.put(f.transfer(READ, 1n, 0n, [[DATA_REF, 0, 7]]))
  await f.backend.connect()
  t.equal(f.answers().length, 1)
})

t.test('disconnecting waits for a flush under way and gives everything back', async (t) => {
  const f = await connected(t)
  f.disk.holdFlushes = true
  f.put(f.transfer(FLUSH_DISKCACHE, 1n, 0n, []))
  let over = false
  const end = f.backend.disconnect().then(() => {
    over = true
  })
  await settle()
  t.notOk(over)
  f.disk.flushes.pop()?.()
  await end
  t.equal(f.answers().length, 1)
  t.same(f.local.leftovers(), [])
})

t.test('it says what Linux’ backend says, and when', async (t) => {
  const f = new Frontend()
  t.teardown(() => f[Symbol.dispose]())
  t.same(f.backend.nodes(), {
    'feature-max-indirect-segments': '256',
    'max-ring-page-order': '4',
    'multi-queue-max-queues': '2',
    'hotplug-status': 'connected',
  })
  await f.backend.connect()
  const told = [...f.store.nodes].filter(([path]) => path.startsWith(`${BACK}/`))
  t.same(Object.fromEntries(told.map(([path, value]) => [path.slice(BACK.length + 1), value])), {
    'feature-barrier': '1',
    'feature-flush-cache': '1',
    'feature-discard': '1',
    'discard-alignment': '0',
    'discard-granularity': '4096',
    'discard-secure': '0',
    'feature-persistent': '1',
    info: '0',
    'physical-sector-size': '512',
    'sector-size': '512',
    sectors: '256',
  })
})

for (const [what, disk, info] of [
  ['a read-only disk', { readwrite: false }, '4'],
  ['a CD', { readwrite: false, cdrom: true, removable: true }, '5'],
] as const) {
  t.test(`${what} has info ${info} and cannot be flushed`, async (t) => {
    const f = await connected(t, { disk })
    t.equal(f.store.nodes.get(`${BACK}/info`), info)
    t.equal(f.store.nodes.get(`${BACK}/feature-flush-cache`), '0')
    t.notOk(f.store.nodes.has(`${BACK}/feature-discard`))
  })
}

for (const [node, value] of [
  ['ring-ref', ''],
  ['ring-ref', '4294967296'],
  ['ring-page-order', '5'],
  ['event-channel', '-1'],
  ['protocol', 'ia64-abi'],
  ['multi-queue-num-queues', '3'],
  ['multi-queue-num-queues', '0'],
] as const) {
  t.test(`a frontend whose ${node} is ${JSON.stringify(value)} is not connected`, async (t) => {
    const f = new Frontend()
    t.teardown(() => f[Symbol.dispose]())
    f.store.nodes.set(`${FRONT}/${node}`, value)
    await t.rejects(f.backend.connect(), {
      code: 'XT_VBD_NODE',
      message: new RegExp(`${node} holds "${value}"`),
    })
    t.same([f.bound, f.local.leftovers()], [0, []])
  })
}

t.test('a frontend with two rings is served on both; a broken one stops alone', async (t) => {
  const f = new Frontend()
  t.teardown(() => f[Symbol.dispose]())
  f.dataPages(4)
  // The frontend's own ring is queue 0; the other has its page and reference behind the data.
  const page = f.page(DATA_GFN + 60)
  const other = new FrontRing([page], { entryBytes: blkif_request.for(64).size })
  f.store.nodes.set(`${FRONT}/multi-queue-num-queues`, '2')
  f.store.nodes.set(`${FRONT}/queue-0/ring-ref`, f.store.nodes.get(`${FRONT}/ring-ref`)!)
  f.store.nodes.set(`${FRONT}/queue-1/ring-ref`, String(f.grant(DATA_REF + 60, DATA_GFN + 60)))
  for (const n of [0, 1]) f.store.nodes.set(`${FRONT}/queue-${n}/event-channel`, String(7 + n))
  await f.backend.connect()
  t.equal(f.bound, 2)
  other.putRequest(f.transfer(READ, 77n, 8n, [[DATA_REF + 1, 0, 7]]))
  other.pushRequests()
  t.match(await f.ask(f.transfer(READ, 1n, 0n, [[DATA_REF, 0, 7]])), [{ id: 1n, status: OKAY }])
  t.equal(other.takeResponse()?.getBigUint64(0, true), 77n)
  t.same(f.page(DATA_GFN + 1), f.disk.bytes.subarray(4096, 8192))
  // GUEST: the second ring claims more than it holds.
  new Int32Array(page.buffer, page.byteOffset)[0] = 4096
  t.match(await f.ask(f.transfer(READ, 2n, 0n, [[DATA_REF, 0, 7]])), [{ id: 2n, status: OKAY }])
  t.match(f.lines, [/claims more requests than its ring holds/])
  await f.backend.disconnect()
  t.same([f.bound, f.local.leftovers()], [0, []])
})

t.test('a second ring that cannot be is the end of both', async (t) => {
  const f = new Frontend()
  t.teardown(() => f[Symbol.dispose]())
  f.store.nodes.set(`${FRONT}/multi-queue-num-queues`, '2')
  for (const n of [0, 1]) f.store.nodes.set(`${FRONT}/queue-${n}/event-channel`, '7')
  f.store.nodes.set(`${FRONT}/queue-0/ring-ref`, f.store.nodes.get(`${FRONT}/ring-ref`)!)
  await t.rejects(f.backend.connect(), { code: 'XT_VBD_NODE', message: /queue-1\/ring-ref holds ""/ })
  f.store.nodes.set(`${FRONT}/queue-1/ring-ref`, '400')
  await t.rejects(f.backend.connect(), { name: 'GrantError' })
  t.same([f.bound, f.local.leftovers()], [0, []])
})

t.test('of a disk with large sectors nothing smaller is moved', async (t) => {
  const f = await connected(t)
  f.disk.sectorSize = 4096
  const at = (sector: bigint, last: number) => f.transfer(READ, sector, sector, [[DATA_REF, 0, last]])
  t.match(await f.ask(at(8n, 7)), [{ status: OKAY }])
  t.match(await f.ask(at(4n, 7)), [{ status: ERROR }])
  t.match(await f.ask(at(8n, 3)), [{ status: ERROR }])
  t.same(f.disk.done, ['read 4096 4096'])
  t.match(f.lines, [/not whole sectors of 4096 bytes/])
})

t.test('a disk that has grown says so, and serves what it has now', async (t) => {
  const f = await connected(t)
  const before = f.disk
  const larger = new MemoryDisk(512)
  t.match(await f.ask(f.transfer(READ, 1n, 256n, [[DATA_REF, 0, 0]])), [{ status: ERROR }])
  await f.rings.load(larger)
  t.same(f.backend.changed(xvda, larger), { sectors: '512' })
  t.match(await f.ask(f.transfer(READ, 2n, 256n, [[DATA_REF, 0, 0]])), [{ status: OKAY }])
  t.same([before.done, larger.done], [[], ['read 131072 512']])
  await f.backend.disconnect()
  t.same(f.backend.changed(xvda, larger), {}, 'nobody is connected that could be told')
})

t.test('another medium is loaded when the flush of the one before is done', async (t) => {
  const f = await connected(t)
  f.disk.holdFlushes = true
  f.put(f.transfer(FLUSH_DISKCACHE, 1n, 0n, []))
  await settle()
  const next = new MemoryDisk()
  const loaded = f.rings.load(next)
  f.put(f.transfer(READ, 2n, 0n, [[DATA_REF, 0, 7]]))
  await settle()
  t.same([f.answers(), next.done], [[], []])
  for (const letGo of f.disk.flushes) letGo()
  await loaded
  await settle()
  t.match(f.answers(), [
    { id: 1n, status: OKAY },
    { id: 2n, status: OKAY },
  ])
  t.same([f.disk.done, next.done], [['flush'], ['read 0 4096']])
})

t.test('an empty drive has no sectors, and every read of it is an error', async (t) => {
  const f = await connected(t)
  await f.rings.load(emptyStore())
  t.match(await f.ask(f.transfer(READ, 1n, 0n, [[DATA_REF, 0, 7]])), [{ status: ERROR }])
})

t.test('a ring that is not granted is not connected', async (t) => {
  const f = new Frontend({ order: 1 })
  t.teardown(() => f[Symbol.dispose]())
  f.store.nodes.set(`${FRONT}/ring-ref1`, '400')
  await t.rejects(f.backend.connect(), { name: 'GrantError' })
  t.same([f.bound, f.local.leftovers()], [0, []])
})

t.test('a guest that sends more while its answers are held back hears of all with one event', async (t) => {
  const f = await connected(t)
  const sectors = [[DATA_REF, 0, 0]] as const
  const more = (id: bigint) => {
    f.ring.putRequest(f.transfer(READ, id, id, sectors))
    t.equal(f.ring.pushRequests(), false, 'nobody needs to be told')
  }
  const ask = (id: bigint) => f.ask(f.transfer(READ, id, id, sectors))
  for (let id = 1n; id < 16n; id++) await ask(id)
  f.meanwhile.push(
    () => more(100n),
    () => more(101n),
    () => undefined,
    () => undefined,
  )
  // The sixteenth is held to see whether that is of use; it goes on until it was twice in vain.
  for (const [id, count] of [
    [16n, 2],
    [17n, 2],
    [18n, 1],
    [19n, 1],
    [20n, 1],
  ] as const) {
    f.notified = 0
    t.equal((await ask(id)).length, count)
    t.equal(f.notified, 1)
  }
  t.equal(f.meanwhile.length, 0)
})
