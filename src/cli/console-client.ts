/**
 * `xt console`: joins the user's terminal and a domain's console socket (src/base/console-wire.ts).
 *
 * On a terminal: raw mode, the escape key leaves, the terminal is always given back. Without one (a pipe, a file,
 * nothing) input goes to the guest as it is, and its end does not end the session: the guest's output goes on.
 * A terminal slower than the guest holds up nobody: the domain process skips output and says how much.
 */
import { connect, type Socket } from 'node:net'
import type { ReadStream as TtyReadStream } from 'node:tty'
import { CONSOLE_LINE_MAX, type ConsoleMode, consoleLine, parseConsoleAnswer } from '../base/console-wire.ts'
import { cliErrors } from './errors.ts'
import type { EscapeKey } from './escape-key.ts'
import { RawTerminal } from './raw-terminal.ts'

const CTRL_C = 0x03

export interface ConsoleSession {
  /** Name of the domain, for messages. */
  readonly name: string
  readonly mode: ConsoleMode
  readonly escapeKey: EscapeKey
  /** Begin with what the guest printed before, as far as it is kept. */
  readonly replay: boolean
  /** Called once we are in, before the first byte is shown. */
  readonly onAttached?: () => Promise<void>
  readonly stdin?: NodeJS.ReadStream
  readonly stdout?: NodeJS.WriteStream
}

/** `detached`: the user left. `ended`: the console was closed by the domain. */
export type ConsoleEnd = 'detached' | 'ended'

/**
 * Runs one session until its end. Rejects with XT_NO_CONSOLE or XT_CONSOLE_BUSY before anything was shown.
 */
export async function attachConsole(path: string, session: ConsoleSession): Promise<ConsoleEnd> {
  const socket = await open(path, session.name)
  try {
    socket.write(consoleLine({ mode: session.mode, replay: session.replay }))
    const early = await greet(socket, session.name)
    const { stdin = process.stdin } = session
    using terminal = stdin.isTTY ? new RawTerminal(stdin as TtyReadStream) : undefined
    await session.onAttached?.()
    return await converse(socket, early, session, terminal !== undefined)
  } finally {
    // What was typed last still goes out.
    socket.destroySoon()
  }
}

function open(path: string, name: string): Promise<Socket> {
  return new Promise((settle, reject) => {
    const socket = connect(path)
    socket.once('error', (error: NodeJS.ErrnoException) => {
      const gone = error.code === 'ENOENT' || error.code === 'ECONNREFUSED'
      reject(cliErrors.XT_NO_CONSOLE(name, gone ? 'it has none, or is just ending' : error.message))
    })
    socket.once('connect', () => {
      // A broken connection shows as 'close'.
      socket.removeAllListeners('error').on('error', () => {})
      settle(socket)
    })
  })
}

/** Waits for the answer; resolves with the bytes that came behind it. */
function greet(socket: Socket, name: string): Promise<Uint8Array> {
  return new Promise((settle, reject) => {
    let line: Uint8Array = new Uint8Array(0)
    const closed = () => reject(cliErrors.XT_NO_CONSOLE(name, 'it closed at once'))
    const read = (bytes: Buffer): void => {
      line = Buffer.concat([line, bytes])
      const end = line.indexOf(0x0a)
      if (end < 0 && line.length < CONSOLE_LINE_MAX) return
      socket.off('data', read).off('close', closed).pause()
      const answer = parseConsoleAnswer(Buffer.from(line.subarray(0, end)).toString())
      if (answer?.ok) settle(line.subarray(end + 1))
      else if (answer?.code === 'busy') reject(cliErrors.XT_CONSOLE_BUSY(name))
      else reject(cliErrors.XT_NO_CONSOLE(name, 'something else answers at its socket'))
    }
    socket.on('data', read).once('close', closed)
  })
}

function converse(
  socket: Socket,
  early: Uint8Array,
  session: ConsoleSession,
  isTerminal: boolean,
): Promise<ConsoleEnd> {
  const { stdin = process.stdin, stdout = process.stdout, mode, escapeKey } = session
  return new Promise<ConsoleEnd>((settle) => {
    const show = (bytes: Uint8Array): void => {
      if (stdout.write(bytes)) return
      socket.pause()
      stdout.once('drain', () => socket.resume())
    }
    const type = (bytes: Buffer): void => {
      const leave = !isTerminal ? -1 : leavingKey(bytes, mode, escapeKey)
      const typed = leave < 0 ? bytes : bytes.subarray(0, leave)
      const isFull = mode === 'write' && typed.length > 0 && !socket.write(typed)
      if (leave >= 0) finish('detached')
      // A terminal is read on even if the guest takes nothing: else the escape key would not be seen.
      else if (isFull && !isTerminal) {
        stdin.pause()
        socket.once('drain', () => stdin.resume())
      }
    }
    const hungUp = (): void => {
      if (isTerminal) finish('detached')
    }
    const closed = (): void => finish('ended')
    const finish = (end: ConsoleEnd): void => {
      socket.off('data', show).off('close', closed)
      stdin.off('data', type).off('end', hungUp).off('error', hungUp).pause()
      settle(end)
    }
    if (early.length > 0) show(early)
    socket.on('data', show).once('close', closed).resume()
    // Only a terminal is read while watching: for the keys that leave.
    if (mode === 'write' || isTerminal) stdin.on('data', type).on('end', hungUp).on('error', hungUp)
    if (socket.closed) closed()
  })
}

/** Where in the typed bytes the user leaves, -1 for nowhere. Who only watches may also use Ctrl-C. */
function leavingKey(bytes: Uint8Array, mode: ConsoleMode, escapeKey: EscapeKey): number {
  return bytes.findIndex((byte) => byte === escapeKey.byte || (mode === 'read' && byte === CTRL_C))
}
