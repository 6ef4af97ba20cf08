import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { XtError } from '../../src/base/errors.ts'
import { connectControl, type DomainEvent, type DomainInfo } from '../../src/engine/control.ts'
import { type ControlHandlers, ControlServer } from '../../src/engine/control-server.ts'
import { xtHome } from './fixtures/xt-home.ts'

type Teardown = Parameters<typeof xtHome>[0]

async function serve(t: Teardown, some: Partial<ControlHandlers> = {}) {
  const paths = xtHome(t)
  const refuse = () => Promise.reject(new Error('not in this test'))
  const handlers: ControlHandlers = {
    info: refuse,
    pause: refuse,
    unpause: refuse,
    shutdown: refuse,
    reboot: refuse,
    destroy: refuse,
    rename: refuse,
    setVcpus: refuse,
    setMemory: refuse,
    setMaxMemory: refuse,
    sysrq: refuse,
    nmi: refuse,
    updateConfig: refuse,
    cpuCounters: refuse,
    cpuProfile: refuse,
    deviceAttach: refuse,
    deviceDetach: refuse,
    deviceChange: refuse,
    deviceList: refuse,
    dumpCore: refuse,
    traceOpen: refuse,
    traceFetch: refuse,
    traceClose: refuse,
    ...some,
  }
  const server = new ControlServer(handlers)
  const path = join(paths.runDir, '..', 'control.sock')
  await server.listen(path)
  t.teardown(() => server.close())
  const client = async () => {
    const made = await connectControl(path, 'guest')
    t.teardown(() => made[Symbol.dispose]())
    return made
  }
  return { server, path, client }
}

t.test('requests reach their handlers with parameters and come back with answers', async (t) => {
  const names: string[] = []
  const { client } = await serve(t, {
    info: () => ({ domid: 7 }) as DomainInfo,
    rename: ({ name }) => {
      names.push(name)
      return null
    },
  })
  const domain = await client()
  t.match(await domain.info(), { domid: 7 })
  t.equal(await domain.rename('näme'), null)
  t.same(names, ['näme'])
})

t.test('an XtError arrives with code, text, hint and exit status', async (t) => {
  const { client } = await serve(t, {
    pause: () => Promise.reject(new XtError('XT_NOT_NOW', 'not now', { hint: 'later', exit: 3 })),
  })
  await t.rejects((await client()).pause(), {
    code: 'XT_NOT_NOW',
    message: 'not now',
    hint: 'later',
    exit: 3,
  })
})

t.test('a bug in a handler arrives as an error too, and the connection lives on', async (t) => {
  const { client } = await serve(t, { info: () => ({ domid: 1 }) as DomainInfo })
  const domain = await client()
  await t.rejects(domain.pause(), { message: 'not in this test' })
  t.match(await domain.info(), { domid: 1 })
})

t.test('events go to those who subscribed, log lines to those who asked for them', async (t) => {
  const { server, client } = await serve(t)
  const [silent, plain, curious] = [await client(), await client(), await client()]
  const heard: Record<string, DomainEvent[]> = { plain: [], curious: [] }
  await plain.subscribe((event) => heard['plain']!.push(event))
  await curious.subscribe((event) => heard['curious']!.push(event), { logs: true })
  const log: DomainEvent = { type: 'log', level: 'warn', line: 'slow' }
  const state: DomainEvent = { type: 'state', state: 'running' }
  server.tell(log)
  server.tell(state)
  await server.close()
  await Promise.all([silent.closed, plain.closed, curious.closed])
  t.same(heard, { plain: [state], curious: [log, state] })
})

t.test(
  'an answer that is still being made at the end is delivered before the connection closes',
  async (t) => {
    const gate = Promise.withResolvers<null>()
    const { server, client } = await serve(t, { destroy: () => gate.promise })
    const domain = await client()
    const asked = domain.destroy()
    // The request is there once something sent after it was answered.
    await domain.subscribe(() => {})
    const closing = server.close()
    gate.resolve(null)
    t.equal(await asked, null)
    await closing
  },
)

t.test('a process that goes away in the middle is a sentence; for destroy it is success', async (t) => {
  const path = join(xtHome(t).runDir, '..', 'control.sock')
  const server = createServer((socket) => socket.once('data', () => socket.destroy()))
  t.teardown(() => server.close())
  await new Promise<void>((settle) => server.listen(path, settle))
  using first = await connectControl(path, 'guest')
  await t.rejects(first.pause(), {
    code: 'XT_DOMAIN_LOST',
    message: 'domain guest went away during pause',
  })
  using second = await connectControl(path, 'guest')
  t.equal(await second.destroy(), null)
})

t.test('bytes that are no protocol disturb nobody else', async (t) => {
  const { path, client } = await serve(t, { info: () => ({ domid: 1 }) as DomainInfo })
  const domain = await client()
  for (const garbage of [
    'hello\r\n\r\n',
    'Content-Length: 4\r\n\r\n{{{{',
    'Content-Length: x\r\n\r\n',
    '\0'.repeat(70000),
  ]) {
    const socket = connect(path)
    socket.on('error', () => {})
    await new Promise<void>((settle) => socket.write(garbage, () => settle()))
    socket.destroy()
    t.match(await domain.info(), { domid: 1 }, JSON.stringify(garbage.slice(0, 20)))
  }
})

t.test('a connection that is opened where nobody listens is the system’s error', async (t) => {
  await t.rejects(connectControl('/nowhere/control.sock', 'x'), { code: 'ENOENT' })
})

t.test(
  'a connection that is left in the middle of a message leaves no timer, which would keep the command',
  async (t) => {
    const path = join(xtHome(t).runDir, '..', 'half.sock')
    const server = createServer((socket) =>
      socket.on('error', () => {}).write('Content-Length: 100\r\n\r\n{'),
    )
    await new Promise<void>((settle) => server.listen(path, settle))
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = timers()
    const client = await connectControl(path, 'half')
    await new Promise((settle) => setTimeout(settle, 50))
    client[Symbol.dispose]()
    t.equal(timers(), before)
    await new Promise<void>((settle) => server.close(() => settle()))
  },
)
