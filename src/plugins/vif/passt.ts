/**
 * User-mode networking by passt (https://passt.top): it answers the guest's ARP and DHCP and carries its connections
 * over sockets of the host, without any privilege.
 *
 * One passt for each interface, on a socket pair that it inherits: it ends with the domain process, however that ends.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import type { Duplex } from 'node:stream'
import { vifErrors } from './errors.ts'
import type { Forward } from './forward.ts'
import { FrameReader } from './frame-reader.ts'
import { acknowledgement } from './handshake.ts'
import { roomyPair } from './socket-pair.ts'
import { StreamPort } from './stream-port.ts'

/** What it takes in one frame (ETH_MAX_MTU). */
const MAX_FRAME = 0xffff
/** The largest MTU that Linux' frontend can set. */
const MAX_MTU = 65_517
/** How long it may take until it answers; it has started then, or it has not. */
const ANSWER_MS = 5000
const LENGTH_BYTES = 4
/** Where the host's name servers stand, and where those behind systemd-resolved. */
const RESOLVERS = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf']
const MAX_STDERR = 4096

export interface PasstOptions {
  /** For messages. */
  readonly name: string
  readonly mac: string
  /** What DHCP tells the guest; undefined: the largest there is. */
  readonly mtu: number | undefined
  readonly forwards: readonly Forward[]
  /** Whether the address of the gateway leads to the host's own loopback. */
  readonly hostLoopback: boolean
}

/** @throws XtError XT_VIF_NO_PASST, XT_VIF_PASST */
export async function openPasst(options: PasstOptions): Promise<StreamPort> {
  const pair = await roomyPair()
  const other = pair?.otherFd ?? 'pipe'
  const resolvers = await Promise.all(RESOLVERS.map((path) => readFile(path, 'utf8').catch(() => '')))
  const args = [...passtArguments(options), ...namesArguments(resolvers)]
  const child = spawn('passt', args, { stdio: ['ignore', 'ignore', 'pipe', other] })
  pair?.closeOther()
  const socket = pair?.socket ?? (child.stdio[3] as Duplex)
  const failed = failure(child, options.name)
  failed.catch(() => undefined)
  const end = async () => {
    const isOver = child.exitCode !== null || child.signalCode !== null
    const over = isOver ? undefined : new Promise<void>((resolve) => child.once('exit', () => resolve()))
    socket.destroy()
    child.kill('SIGTERM')
    await over
  }
  try {
    await Promise.race([failed, firstAnswer(socket, options.mac)])
  } catch (error) {
    socket.destroy()
    throw error
  }
  return new StreamPort({
    from: socket,
    to: socket,
    lengthBytes: LENGTH_BYTES,
    maxFrameBytes: MAX_FRAME,
    isVerified: true,
    description: 'user-mode network (passt)',
    // Connections come in through forwards only.
    answer: options.forwards.some(({ protocol }) => protocol === 'tcp') ? acknowledgement : undefined,
    end,
  })
}

/** Its command line. */
export function passtArguments({ mtu, forwards, hostLoopback }: PasstOptions): readonly string[] {
  return [
    '--foreground',
    '--quiet',
    '--fd',
    '3',
    '--mtu',
    String(Math.min(mtu ?? MAX_MTU, MAX_MTU)),
    ...(hostLoopback ? [] : ['--no-map-gw']),
    ...forwards.flatMap(({ protocol, address, hostPort, guestPort }) => [
      protocol === 'tcp' ? '--tcp-ports' : '--udp-ports',
      `${address}/${hostPort}:${guestPort}`,
    ]),
  ]
}

/**
 * Name servers, where the host's only ones are on its loopback (systemd-resolved), which the guest does not reach: those
 * that stand behind them. `files` are the contents of RESOLVERS. Otherwise passt knows itself.
 */
export function namesArguments(files: readonly string[]): readonly string[] {
  const [own, behind] = files.map((text) =>
    [...text.matchAll(/^nameserver\s+(\S+)/gm)].map(([, address]) => address!),
  )
  const isLocal = (address: string) => address.startsWith('127.') || address === '::1'
  if (own!.some((address) => !isLocal(address))) return []
  return behind!.filter((address) => !isLocal(address)).flatMap((address) => ['--dns', address])
}

/** Rejects when it ends, or cannot be started. */
function failure(child: ChildProcess, name: string): Promise<never> {
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-MAX_STDERR)
  })
  return new Promise((_, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'ENOENT'
          ? vifErrors.XT_VIF_NO_PASST(name)
          : vifErrors.XT_VIF_PASST(name, error.message),
      ),
    )
    child.once('close', (status, signal) => {
      // Where there is no syslog it says so for each line.
      const lines = said
        .split('\n')
        .filter((line) => line !== '' && !/^Failed to (?:send|connect)/.test(line))
      reject(
        vifErrors.XT_VIF_PASST(name, lines.join('; ') || `it ended with ${signal ?? `status ${status}`}`),
      )
    })
  })
}

/** Settles when it answers an ARP request, at the latest after a while: where there is no IPv4 it never does. */
async function firstAnswer(socket: Duplex, mac: string): Promise<void> {
  const reader = new FrameReader(LENGTH_BYTES, MAX_FRAME)
  const { promise, resolve } = Promise.withResolvers<void>()
  const look = (piece: Uint8Array) => {
    if ((reader.push(piece) ?? []).length > 0) resolve()
  }
  const limit = setTimeout(resolve, ANSWER_MS)
  const ignore = () => undefined
  socket.on('data', look).on('error', ignore)
  try {
    socket.write(arpRequest(mac))
    await promise
  } finally {
    clearTimeout(limit)
    socket.pause()
    socket.off('data', look).off('error', ignore)
  }
}

/** "Who has 169.254.0.1?", with its length before it. passt answers for every address but the guest's. */
function arpRequest(mac: string): Uint8Array {
  const own = mac.split(':').map((byte) => Number.parseInt(byte, 16))
  const broadcast = [255, 255, 255, 255, 255, 255]
  const frame = [
    ...broadcast,
    ...own,
    ...[8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
    ...own,
    ...[0, 0, 0, 0],
    ...[0, 0, 0, 0, 0, 0],
    ...[169, 254, 0, 1],
  ]
  return Uint8Array.from([0, 0, 0, frame.length, ...frame])
}
