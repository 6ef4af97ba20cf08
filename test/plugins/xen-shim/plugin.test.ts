import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { z } from 'zod'
import { domid, gfn, port } from '../../../src/base/brand.ts'
import { createLog } from '../../../src/base/log.ts'
import type { BackendDriver, Capabilities, ExitClaims, PluginContext } from '../../../src/engine/plugin.ts'
import xenShim, { type XenShimSettings } from '../../../src/plugins/xen-shim/index.ts'
import { BytePipe, XENSTORE_RING } from '../../../src/xen/ring/byte-ring.ts'
import {
  encodePacket,
  type Packet,
  PacketReader,
  stringsPayload,
  XS,
} from '../../../src/xen/xenstore/wire.ts'
import { connectXenstore } from '../../../src/xenstored/client.ts'
import { ensureXenstored } from '../../../src/xenstored/ensure.ts'
import { testMachine } from '../../xen/fake-vcpu.ts'

const GUEST = domid(6)
const STORE_GFN = gfn(0xfeffc)

/** A plugin context over a store process of its own; everything owned is disposed after the test, last first. */
async function setUp(t: Test) {
  const hostRunDir = mkdtempSync(join(tmpdir(), 'xt-shim-'))
  t.teardown(() => rmSync(hostRunDir, { recursive: true, force: true }))
  const { socketPath } = await ensureXenstored(hostRunDir, { idleSeconds: 1 })
  const toolstack = await connectXenstore({ socketPath })
  // A store with a domain in it never ends by itself.
  t.teardown(async () => {
    await toolstack.release(GUEST).catch(() => {})
    await toolstack.close()
  })
  await toolstack.introduce(GUEST, STORE_GFN, port(1))
  const memory = testMachine()
  const provided: Partial<Capabilities> = { guestMemory: memory }
  const claims: ExitClaims[] = []
  const owned: (Disposable | AsyncDisposable)[] = []
  const logged: string[] = []
  const ctx: PluginContext<XenShimSettings> = {
    config: { upcall: 'callback', maxEventChannels: 1023 },
    stanzas: {},
    log: createLog((_level, line) => logged.push(line)),
    vm: {
      domid: GUEST,
      name: 'test',
      uuid: '00112233-4455-6677-8899-aabbccddeeff',
      vcpus: 2,
      maxVcpus: 2,
      memoryBytes: memory.ramBytes,
      runDir: hostRunDir,
      hostRunDir,
      config: {},
    },
    signal: new AbortController().signal,
    exits: { claim: (claim) => claims.push(claim) },
    devices: { serve: () => ({ attach: async () => {} }) },
    own: (thing) => {
      owned.push(thing)
      return thing
    },
    use: (name) => provided[name]!,
    provide: (name, value) => {
      provided[name] = value
    },
    fail: (cause) => {
      throw cause
    },
    forDevice: (_device, work) => work(),
  }
  const lifecycle = xenShim.setup(ctx)
  const call = async (name: 'attach' | 'reset' | 'stop') => {
    const code = lifecycle[name]
    await (typeof code === 'function' ? code() : code?.run())
  }
  const end = async () => {
    await call('stop')
    for (const thing of owned.reverse()) {
      if (Symbol.asyncDispose in thing) await thing[Symbol.asyncDispose]()
      else thing[Symbol.dispose]()
    }
  }
  return { memory, provided, claims, logged, call, end, toolstack }
}

/** One request on the guest's ring and its answer. */
async function ask(
  machine: Awaited<ReturnType<typeof setUp>>,
  type: number,
  ...words: readonly string[]
): Promise<Packet> {
  const { memory, provided } = machine
  const pipe = new BytePipe(memory, memory.hostOffset(STORE_GFN * 4096), XENSTORE_RING, 'frontend')
  pipe.write(encodePacket({ type, reqId: 7, txId: 0, payload: stringsPayload(words) }))
  provided.xenDomain!.evtchn.send(port(1))
  const reader = new PacketReader()
  const chunk = new Uint8Array(1024)
  for (;;) {
    const count = pipe.read(chunk)
    const [packet] = count > 0 ? reader.push(chunk.subarray(0, count)) : []
    if (packet !== undefined) return packet
    await new Promise((resolve) => setImmediate(resolve))
  }
}

t.test('it claims the hypercalls, leaves, MSR and port of Xen with a module that exists', async (t) => {
  const machine = await setUp(t)
  const [claim] = machine.claims
  t.equal(claim?.hypercalls?.length, 64)
  t.strictSame(claim?.msrs, [[0x40000000, 0x40000000]])
  t.strictSame(claim?.ports, [[0xe9, 0xe9]])
  const module = (await import(claim!.module)) as { default: unknown }
  t.type(module.default, 'function')
})

t.test('a guest talks to the store through its ring, also after it has started anew', async (t) => {
  const machine = await setUp(t)
  await machine.call('attach')
  t.match(await ask(machine, XS.GET_DOMAIN_PATH, '6'), { type: XS.GET_DOMAIN_PATH, reqId: 7 })
  await machine.call('reset')
  t.match(await ask(machine, XS.GET_DOMAIN_PATH, '6'), { type: XS.GET_DOMAIN_PATH, reqId: 7 })
  await machine.end()
})

t.test('a device added to the bus stands in the store and is gone at the end', async (t) => {
  const machine = await setUp(t)
  await machine.call('attach')
  const { pvBus, xenstore } = machine.provided
  const driver: BackendDriver<{ size: number }> = {
    type: 'vbd',
    device: z.object({ size: z.number() }),
    connectOn: 'Initialised',
    create: (xenhost, device, otherend) => {
      t.equal(xenhost.kind, 'local')
      t.equal(otherend.domid, GUEST)
      return {
        nodes: () => ({ sectors: String(device.size) }),
        connect: async () => {},
        disconnect: async () => {},
        [Symbol.asyncDispose]: async () => {},
      }
    },
  }
  const device = await pvBus!.add(
    driver,
    { size: 2048 },
    { id: 51712, frontend: { 'virtual-device': '51712' } },
  )
  t.equal(await xenstore!.read(`${device.backendPath}/sectors`), '2048')
  t.equal(await xenstore!.read(`${device.frontendPath}/virtual-device`), '51712')
  t.strictSame(await xenstore!.getPerms(device.frontendPath), ['n6', 'r0'])
  await machine.end()
  await t.rejects(machine.toolstack.read(device.backendPath), { code: 'ENOENT' })
  t.strictSame(machine.logged, [])
})
