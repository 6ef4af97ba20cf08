import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { consoleLine } from '../../../src/base/console-wire.ts'
import { ConsolePort } from '../../../src/plugins/console/port.ts'
import { Scrollback } from '../../../src/plugins/console/scrollback.ts'

/** A folder with a short name: a socket's path may have 107 bytes. */
function shortFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'xt-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  return folder
}

async function listening(t: Test, capacity = 65536) {
  const path = join(shortFolder(t), 'console')
  const scrollback = new Scrollback(capacity)
  const guest = { room: Number.POSITIVE_INFINITY, typed: '' }
  const port = new ConsolePort(scrollback, (bytes) => {
    const taken = Math.min(bytes.length, guest.room)
    guest.room -= taken
    guest.typed += Buffer.from(bytes.subarray(0, taken)).toString()
    return taken
  })
  await port.listen(path)
  t.teardown(() => port.close())
  const print = (text: string | Uint8Array) => {
    scrollback.append(typeof text === 'string' ? Buffer.from(text) : text)
    port.outputArrived()
  }
  return { path, port, print, guest }
}

class Visitor {
  readonly socket: Socket
  text = ''
  #waiting: (() => void)[] = []

  constructor(path: string, hello: string) {
    this.socket = connect(path)
    this.socket.setEncoding('latin1')
    this.socket.write(hello)
    const wake = () => {
      for (const resolve of this.#waiting.splice(0)) resolve()
    }
    this.socket.on('data', (piece) => {
      this.text += piece
      wake()
    })
    this.socket.on('close', wake)
  }

  /** Resolves with all that was seen once it holds `wanted`, or at the end. */
  async sees(wanted: string): Promise<string> {
    while (!this.text.includes(wanted) && !this.socket.closed) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    return this.text
  }

  async end(): Promise<string> {
    while (!this.socket.closed) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return this.text
  }
}

const visit = (path: string, mode: 'write' | 'read', replay = true) =>
  new Visitor(path, consoleLine({ mode, replay }))
const OK = consoleLine({ ok: true })
const BUSY = consoleLine({ ok: false, code: 'busy' })

t.test('a client sees what was printed before and after it came', async (t) => {
  const { path, print } = await listening(t)
  print('before ')
  const visitor = visit(path, 'write')
  await visitor.sees('before')
  print('after')
  t.equal(await visitor.sees('after'), `${OK}before after`)
  visitor.socket.destroy()
})

t.test('a client that wants no replay sees only what is new', async (t) => {
  const { path, print } = await listening(t)
  print('before ')
  const visitor = visit(path, 'read', false)
  await visitor.sees(OK)
  print('after')
  t.equal(await visitor.sees('after'), `${OK}after`)
  visitor.socket.destroy()
})

t.test('one client types, a second typist is refused, watchers are welcome', async (t) => {
  const { path, print, guest } = await listening(t)
  const typist = visit(path, 'write')
  await typist.sees(OK)
  t.equal(await visit(path, 'write').end(), BUSY)
  const watcher = visit(path, 'read')
  await watcher.sees(OK)
  watcher.socket.write('ignored')
  typist.socket.write('ls\r')
  print('seen by both')
  t.equal(await typist.sees('both'), `${OK}seen by both`)
  t.equal(await watcher.sees('both'), `${OK}seen by both`)
  typist.socket.destroy()
  await typist.end()
  t.equal(guest.typed, 'ls\r')
  watcher.socket.destroy()
})

t.test('when the typist has left another may type', async (t) => {
  const { path, guest } = await listening(t)
  const first = visit(path, 'write')
  await first.sees(OK)
  first.socket.destroy()
  let second = visit(path, 'write')
  while ((await second.sees('\n')) === BUSY) second = visit(path, 'write')
  second.socket.end('hello')
  await second.end()
  t.equal(guest.typed, 'hello')
})

t.test('what is typed waits until the guest has room for it', async (t) => {
  const { path, port, guest } = await listening(t)
  guest.room = 3
  const typist = visit(path, 'write')
  typist.socket.write('abcdef')
  await typist.sees(OK)
  while (guest.typed.length < 3) await new Promise((resolve) => setImmediate(resolve))
  t.equal(guest.typed, 'abc')
  guest.room = 100
  port.inputRoom()
  t.equal(guest.typed, 'abcdef')
  typist.socket.destroy()
})

t.test('100 MB that nobody reads cost no memory, and the next client learns how much is gone', async (t) => {
  const { path, print } = await listening(t, 1024)
  const sleeper = visit(path, 'read', false)
  await sleeper.sees(OK)
  sleeper.socket.pause()
  const line = Buffer.alloc(1024 * 1024, 'x')
  for (let i = 0; i < 100; i++) {
    print(line)
    await new Promise((resolve) => setImmediate(resolve))
  }
  print('the end')
  const visitor = visit(path, 'read')
  const text = await visitor.sees('the end')
  t.match(text, `[xt: ${100 * 1024 * 1024 + 7 - 1024} bytes of output are no longer kept]`)
  t.ok(text.length < 2000)
  sleeper.socket.resume()
  t.match(await sleeper.sees('the end'), /\[xt: \d+ bytes of output are no longer kept\]/)
  sleeper.socket.destroy()
  visitor.socket.destroy()
})

t.test('closing shows every client the last words, ends it, and removes the socket', async (t) => {
  const { path, port, print } = await listening(t)
  const watcher = visit(path, 'read')
  await watcher.sees(OK)
  print('Power down')
  await port.close()
  t.equal(await watcher.end(), `${OK}Power down`)
  t.notOk(existsSync(path))
})

t.test('a client that never greets does not hold up the closing', async (t) => {
  const { path, port } = await listening(t)
  const mute = new Visitor(path, '')
  await new Promise<void>((resolve) => mute.socket.once('connect', resolve))
  await port.close()
  t.equal(await mute.end(), '')
})

for (const hello of ['GET / HTTP/1.1\r\n', `${'x'.repeat(2000)}`, '{"mode":"own"}\n']) {
  t.test(`a stranger who says ${JSON.stringify(hello.slice(0, 20))} is sent away`, async (t) => {
    const { path } = await listening(t)
    t.equal(await new Visitor(path, hello).end(), consoleLine({ ok: false, code: 'protocol' }))
  })
}

t.test('only the owner may open the socket, and a file left behind is replaced', async (t) => {
  const { path, port } = await listening(t)
  t.equal(statSync(path).mode & 0o777, 0o600)
  await port.close()
  const next = new ConsolePort(new Scrollback(10), () => 0)
  t.teardown(() => next.close())
  writeFileSync(path, '')
  await next.listen(path)
  t.ok(statSync(path).isSocket())
})

t.test('a folder that is not there is one clear error', async (t) => {
  const port = new ConsolePort(new Scrollback(10), () => 0)
  await t.rejects(port.listen(join(shortFolder(t), 'missing', 'console')), {
    code: 'XT_CONSOLE_SOCKET',
    message: /cannot listen for consoles on .*missing/,
  })
})
