/**
 * The contract of PV backends: what every one of them does whatever its protocol, and what no guest can make it do.
 * Each clause is a test; the hostile ones are random, with their seed in what they say when they fail.
 *
 *   import t from 'tap'                      // or node:test: anything with test(name, body)
 *   backendContract(t, (host) => ({ driver, device, place, script }))
 */
import { gref } from '../base/brand.ts'
import type { ScriptedFrontend } from './frontends/frontend.ts'
import { fuzzBackend } from './fuzz.ts'
import type { GuestDevice } from './guest-device.ts'
import { MemoryHost, type MemoryHostOptions } from './memory-host.ts'
import { Random } from './random.ts'
import {
  addDevice,
  type BackendUnderTest,
  findings,
  leaks,
  type MakeBackend,
  touchedAfterwards,
} from './under-test.ts'
import { turns, until } from './wait.ts'

/** Where tests are registered: tap's `t` and node:test fit. */
export interface ContractTest {
  test(name: string, body: () => Promise<void>): unknown
}

export interface ContractOptions {
  /** Of the hostile clauses; by default each run has another one. */
  readonly seed?: number
  /** Random inputs of the last clause; 3000. */
  readonly inputs?: number
  readonly host?: MemoryHostOptions
}

/** Guest RAM of a clause: its frontends take new pages for each connection. */
const RAM_BYTES = 4 << 20

/** What a clause works with. */
interface Scene {
  readonly host: MemoryHost
  readonly backend: BackendUnderTest<unknown>
  readonly device: GuestDevice
  readonly random: Random
}

interface Clause {
  readonly name: string
  run(scene: Scene): Promise<void>
}

const ensure = (claim: boolean, otherwise: string): void => {
  if (!claim) throw new Error(otherwise)
}

const CLAUSES: readonly Clause[] = [
  {
    name: 'it is there, in InitWait, before any frontend has said anything',
    async run({ device }) {
      ensure((await device.backendState()) === 'InitWait', 'the backend is not in InitWait')
      const nodes = await device.backendNodes()
      ensure(nodes['online'] === '1', 'it is not online')
    },
  },
  {
    name: 'a right frontend is connected and served',
    async run({ device }) {
      const frontend = await device.connect()
      for (let n = 0; n < 3; n++) await frontend.exchange()
    },
  },
  {
    name: 'a frontend that closes gets everything back, and can come again',
    async run({ host, device }) {
      for (let n = 0; n < 2; n++) {
        const frontend = await device.connect()
        await frontend.exchange()
        await device.close()
        const { grants, ports } = host.held()
        ensure(grants === 0 && ports === 0, `closed, but it holds ${grants} grants and ${ports} ports`)
        ensure(host.guest.pinnedRefs().length === 0, 'closed, but grants are in use')
        const left = await touchedAfterwards(host)
        ensure(left.length === 0, left.join('; '))
      }
    },
  },
  {
    name: 'a frontend that starts over without closing (kexec) is served by its new rings alone',
    async run({ host, device }) {
      const first = await device.connect()
      await first.exchange()
      const second = await device.connect()
      await second.exchange()
      for (const gfn of first.ringFrames) host.guest.seal(gfn)
      for (const port of first.ports) host.guest.notify(port)
      await second.exchange()
      const left = host.guest.violations()
      ensure(left.length === 0, `rings of the kernel before are still used: ${left.join('; ')}`)
    },
  },
  {
    name: 'a frontend that vanishes leaves nothing behind',
    async run({ host, device }) {
      const frontend = await device.connect()
      await frontend.exchange()
      host.guest.closePorts()
      await host.dom0.rm(device.handle.frontendPath)
      const hasLetGo = () => host.held().grants === 0 && host.held().ports === 0
      await until('it lets go of the frontend', hasLetGo, host.limitMs)
      ensure((await device.backendState()) === 'Closed', 'it is not Closed')
    },
  },
  {
    name: 'a frontend that never answers does not keep the device from being removed',
    async run({ device }) {
      let isGone = false
      void device.handle.remove().then(() => {
        isGone = true
      })
      await turns(3)
      await device.handle.remove({ force: true })
      await until('who asked for the removal is told', () => isGone, device.host.limitMs)
      ensure((await device.backendState()) === 'Unknown', 'its nodes are still there')
    },
  },
  {
    name: 'a device that is to be removed goes when its frontend has closed',
    async run({ device }) {
      const frontend = await device.connect()
      await frontend.exchange()
      let isGone = false
      void device.handle.remove().then(() => {
        isGone = true
      })
      await device.reached('Closing')
      await device.setState('Closing')
      await turns(2)
      await device.setState('Closed')
      await until('it is gone', () => isGone, device.host.limitMs)
      ensure((await device.backendState()) === 'Unknown', 'its nodes are still there')
    },
  },
  {
    name: 'any order of states, and states that there are not, are survived',
    async run({ device, random }) {
      const states = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '', 'Connected', '-1']
      for (let n = 0; n < 60; n++) {
        if (random.once(3)) await device.write(device.open().nodes)
        await device.write({ state: random.pick(states) })
        if (random.once(3)) await turns(1)
        if (n % 20 === 0) device.host.guest.closePorts()
      }
      await servedAgain(device)
    },
  },
  {
    name: 'a frontend that publishes nonsense is refused, and a right one is served afterwards',
    async run({ device, random }) {
      const { nodes } = device.open()
      const values = ['', '-1', '0', '4294967295', '4294967296', 'x', '1.5', String(random.edge())]
      for (const key of Object.keys(nodes)) {
        for (const value of values) {
          await device.setState('Initialising')
          await device.reached('InitWait')
          await device.write({ ...nodes, [key]: value })
          await device.setState('Initialised')
          await device.setState('Connected')
          await device.reached('Connected', 'Closing', 'Closed')
        }
      }
      await servedAgain(device)
    },
  },
  {
    name: 'ring indices that cannot be are survived, and a right frontend is served afterwards',
    async run({ host, device, random }) {
      const { length } = device.open().words
      for (let word = 0; word < length; word++) {
        for (const value of [0x7fff_ffff, 0x8000_0000, 0xffff_ffff, random.u32()]) {
          host.guest.closePorts()
          const frontend = await device.connect()
          const [gfn, offset] = frontend.words[word]!
          const page = host.guest.bytes(gfn)
          Atomics.store(new Int32Array(page.buffer), (page.byteOffset + offset) / 4, value | 0)
          for (const port of frontend.ports) host.guest.notify(port)
          await turns(2)
        }
      }
      await servedAgain(device)
    },
  },
  {
    name: 'grants that are taken back while requests are under way touch no other page',
    async run({ host, device, random }) {
      const frontend = await device.connect()
      for (let round = 0; round < 20; round++) {
        for (let n = 0; n < 8; n++) frontend.hostile(random)
        for (const port of frontend.ports) host.guest.notify(port)
        if (round % 2 === 0) await turns(1)
        for (let ref = 8; ref < host.guest.refsUsed; ref++)
          if (random.once(2)) host.guest.setEntry(gref(ref), { flags: 0, domid: 0, frame: 0 })
        await turns(1)
      }
      host.guest.closePorts()
      await servedAgain(device)
    },
  },
  {
    name: 'a guest that floods the store and the port is borne',
    async run({ host, device }) {
      const frontend = await device.connect()
      for (let n = 0; n < 500; n++) {
        await device.write({ state: '4', flood: String(n) })
        for (const port of frontend.ports) host.guest.notify(port)
      }
      await frontend.exchange()
    },
  },
  {
    name: 'requests that are under way when the guest is paused are answered, and nothing moves meanwhile',
    async run({ host, backend, device }) {
      const frontend = await device.connect()
      const pending = frontend.begin?.()
      // ORDER: plugins are paused when the vCPUs have stopped; what those sent before has been heard by then.
      await turns(3)
      await backend.pause?.()
      if (backend.pause !== undefined) await ensureStill(host)
      await backend.resume?.()
      await pending?.answered()
      await frontend.exchange()
    },
  },
  {
    name: 'after a reset it is as it was when it was new',
    async run({ host, device }) {
      const fresh = await host.store.tree(device.handle.backendPath)
      const frontend = await device.connect()
      await frontend.exchange()
      await host.reset()
      await until('it is published again', async () => (await device.backendState()) === 'InitWait')
      const again = await host.store.tree(device.handle.backendPath)
      for (const [path, value] of Object.entries(fresh))
        ensure(again[path] === value, `${path} was "${value}" and is "${again[path]}"`)
      const { grants, ports } = host.held()
      ensure(grants === 0 && ports === 0, `it holds ${grants} grants and ${ports} ports`)
      await servedAgain(device)
    },
  },
]

/** Registers one test for each clause of the contract. */
export function backendContract<D>(
  t: ContractTest,
  make: MakeBackend<D>,
  { seed = (Math.random() * 2 ** 32) >>> 0, inputs = 3000, host = {} }: ContractOptions = {},
): void {
  for (const clause of CLAUSES) {
    t.test(clause.name, () => play(make, host, new Random(seed), clause))
  }
  t.test(
    `${inputs} hostile inputs, seed ${seed}: nothing leaves the backend, nothing is touched, nothing is kept`,
    async () => {
      await fuzzBackend(make, { seed, inputs, perLife: 500, host })
    },
  )
}

/** One clause on a host of its own; then nothing may be wrong or kept. */
async function play<D>(
  make: MakeBackend<D>,
  options: MemoryHostOptions,
  random: Random,
  clause: Clause,
): Promise<void> {
  await using host = new MemoryHost({ ramBytes: RAM_BYTES, ...options })
  const backend = await make(host)
  try {
    const device = await addDevice(host, backend)
    await clause.run({ host, backend, device, random }).catch((error: unknown) => {
      const also = findings(host, backend).join('\n')
      throw new Error(`seed ${random.seed}: ${(error as Error).message}\n${also}`, { cause: error })
    })
    await device.handle.remove({ force: true })
    const wrong = [...findings(host, backend), ...(await leaks(host)), ...(await touchedAfterwards(host))]
    ensure(wrong.length === 0, `seed ${random.seed}: ${wrong.join('\n')}`)
  } finally {
    await backend.dispose?.()
  }
}

async function servedAgain(device: GuestDevice): Promise<void> {
  device.host.guest.closePorts()
  const frontend: ScriptedFrontend = await device.connect()
  await frontend.exchange()
}

/** With no vCPU running and the backend paused, guest memory stands still. */
async function ensureStill(host: MemoryHost): Promise<void> {
  await turns(1)
  const { u8, layout, ramBytes } = host.domain.memory
  const ram = u8.subarray(layout.ram, layout.ram + ramBytes)
  const before = ram.slice()
  await turns(50)
  const at = before.findIndex((byte, i) => ram[i] !== byte)
  ensure(at < 0, `paused, but the byte at ${at} of guest memory changed`)
}
