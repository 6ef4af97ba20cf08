/** The contract is worth something: a right backend passes, and each kind of mistake is found. */
import t from 'tap'
import { addDevice, backendContract, FuzzError, fuzzBackend, MemoryHost } from '../../src/testkit/index.ts'
import { MISTAKES, type Mistake, makeEcho } from './echo.ts'

t.setTimeout(300_000)

const SEED = 7
/** A mistake that shows by something that never happens need not be waited for long. */
const host = { limitMs: 150 }

/** Runs the contract; answers the clauses that are broken, with what they say. */
async function brokenClauses(mistake?: Mistake): Promise<string[]> {
  const broken: string[] = []
  const bodies: (() => Promise<void>)[] = []
  const test = (name: string, body: () => Promise<void>) =>
    bodies.push(async () => body().catch((error: Error) => void broken.push(`${name}: ${error.message}`)))
  backendContract({ test }, makeEcho(mistake), {
    seed: SEED,
    inputs: 500,
    host: mistake === undefined ? {} : host,
  })
  for (const body of bodies) await body()
  return broken
}

t.test('a backend without mistakes keeps the contract', async (t) => {
  t.same(await brokenClauses(), [])
})

for (const mistake of MISTAKES) {
  t.test(`a backend that ${mistake} breaks the contract`, async (t) => {
    const broken = await brokenClauses(mistake)
    t.not(broken.length, 0)
  })
}

t.test('the fuzzer says with which seed it found something, and finds it again with that seed', async (t) => {
  const make = makeEcho('fills as many bytes as it is told to')
  const first = await fuzzBackend(make, { seed: 1, inputs: 20_000 }).then(
    () => undefined,
    (error: unknown) => error,
  )
  t.ok(first instanceof FuzzError)
  const { seed } = first as FuzzError
  await t.rejects(fuzzBackend(make, { seed, inputs: 1500 }), {
    seed,
    message: /nobody was allowed to write/,
  })
})

t.test('a host counts what backends hold, and forgets nothing', async (t) => {
  await using memory = new MemoryHost()
  const backendPath = '/local/domain/0/backend/echo/6/0'
  const xenhost = memory.xenhost(backendPath)
  const [gfn] = memory.guest.allocate(1)
  const ref = memory.guest.grant(gfn!)
  const mapping = xenhost.gnttab.map(memory.domid, [ref], 'rw')
  t.same(memory.held(), { grants: 1, ports: 0, watches: 0 })
  t.same(memory.guest.pinnedRefs(), [ref])
  mapping[Symbol.dispose]()
  t.same(memory.held(), { grants: 0, ports: 0, watches: 0 })
})

t.test('guest memory that changes without a grant is named by its frame', async (t) => {
  await using memory = new MemoryHost()
  const [own, free] = memory.guest.allocate(2)
  memory.guest.bytes(own!)[0] = 1
  t.same(memory.guest.violations(), [])
  memory.guest.seal(free!)
  memory.guest.bytes(free!)[7] = 1
  memory.guest.bytes(3)[0] = 1
  t.match(memory.guest.violations(), [/^frame 3 changed/, new RegExp(`^frame ${free} changed`)])
  t.same(memory.guest.violations(), [], 'each change is told once')
})

t.test('a device goes when its frontend has closed, also where its backend fails at that', async (t) => {
  await using memory = new MemoryHost()
  const device = await addDevice(memory, await makeEcho('throws when it is closed')(memory))
  await device.connect()
  const removed = device.handle.remove()
  await device.reached('Closing')
  await device.setState('Closing')
  await device.setState('Closed')
  await removed
  t.equal(await device.backendState(), 'Unknown')
  t.match(memory.lines, [/error: .*echo\/6\/0 cannot disconnect: closed/])
})
