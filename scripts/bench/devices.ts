/**
 * What machines of the benchmark have besides processors: a disk and one with fio on it, a shared folder, a network;
 * and the work that is done over the network from outside. Everything lies in one directory, which goes at the end.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { findProgram, librariesOf } from '../assets/host-program.ts'
import type { MachineSpec } from './machines.ts'
import { DISK_MIB, type Need, PORT, type Row, type Session } from './rows.ts'

const MEBIBYTE = 1 << 20
const SHARE_FILES = 10_000
const SHARE_BYTES = 100 * MEBIBYTE
const TCP_BYTES = 100 * MEBIBYTE
const ROUND_TRIPS = 2000
const FIO_DISK_MIB = 256

export class Devices implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'xt-bench-devices-'))
  /** Needs that this machine cannot fulfil, each with the reason. */
  readonly missing = new Map<Need, string>()
  #disks: readonly string[] | undefined
  #share: string | undefined

  /** What the session's machines get. */
  async of({ device }: Session): Promise<Pick<MachineSpec, 'disks' | 'share' | 'forwards'>> {
    if (device === 'disks') {
      this.#disks ??= this.#makeDisks()
      return { disks: this.#disks }
    }
    if (device === 'share') {
      this.#share ??= this.#makeShare()
      return { share: this.#share }
    }
    if (device !== 'network') return {}
    if (findProgram('passt') === undefined)
      this.missing.set('passt', 'there is no passt on this machine (apt install passt)')
    const ports = [PORT.sink, PORT.source, PORT.echo]
    return { forwards: await Promise.all(ports.map(async (port) => [await freePort(), port] as const)) }
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }

  #makeDisks(): readonly string[] {
    const data = join(this.#directory, 'data.img')
    writeFileSync(data, '')
    // Blocks that exist, as those of a disk in use.
    spawnSync('dd', ['if=/dev/urandom', `of=${data}`, 'bs=1M', `count=${DISK_MIB}`])
    const programs = this.#makeFioDisk()
    return programs === undefined ? [data] : [data, programs]
  }

  /** An ext4 image with fio, its libraries and `run`, which starts a program with them. */
  #makeFioDisk(): string | undefined {
    const fio = findProgram('fio')
    const mke2fs = findProgram('mke2fs')
    if (fio === undefined || mke2fs === undefined) {
      this.missing.set('fio', 'there is no fio or mke2fs on this machine (apt install fio e2fsprogs)')
      return undefined
    }
    const tree = join(this.#directory, 'fio')
    const libraries = librariesOf(fio)
    for (const [from, to] of [[fio, 'bin'] as const, ...libraries.map((path) => [path, 'lib'] as const)]) {
      mkdirSync(join(tree, to), { recursive: true })
      copyFileSync(from, join(tree, to, basename(from)))
    }
    const loader = basename(libraries.find((path) => basename(path).startsWith('ld-linux'))!)
    const run = join(tree, 'run')
    writeFileSync(
      run,
      `#!/bin/sh\np=$1; shift\nexec /mnt/lib/${loader} --library-path /mnt/lib /mnt/bin/$p "$@"\n`,
    )
    chmodSync(run, 0o755)
    const image = join(this.#directory, 'fio.img')
    writeFileSync(image, '')
    truncateSync(image, FIO_DISK_MIB * MEBIBYTE)
    const { status, stderr } = spawnSync(mke2fs, ['-q', '-t', 'ext4', '-d', tree, image], {
      encoding: 'utf8',
    })
    if (status !== 0) this.missing.set('fio', `mke2fs fails: ${stderr.trim()}`)
    return status === 0 ? image : undefined
  }

  #makeShare(): string {
    const folder = join(this.#directory, 'share')
    mkdirSync(folder)
    chmodSync(dirname(folder), 0o755)
    writeFileSync(join(folder, 'large'), Buffer.alloc(SHARE_BYTES, 'xt'))
    for (let i = 0; i < SHARE_FILES; i++) {
      const directory = join(folder, 'small', String(Math.floor(i / 100)))
      if (i % 100 === 0) mkdirSync(directory, { recursive: true })
      writeFileSync(join(directory, String(i)), `file ${i}\n`.repeat(40))
    }
    return folder
  }
}

/** Does a row's work against the guest. Its programs may need a moment to listen. */
export async function drive(row: Row, forwards: NonNullable<MachineSpec['forwards']>): Promise<void> {
  const port = forwards.find(([, guestPort]) => guestPort === PORT[row.drive!])![0]
  const socket = await connected(port)
  try {
    if (row.drive === 'sink') await sendAll(socket)
    else if (row.drive === 'source') await receiveAll(socket)
    else await roundTrips(socket)
  } finally {
    socket.destroy()
  }
}

async function connected(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await new Promise((settle, reject) => socket.once('connect', settle).once('error', reject))
  socket.setNoDelay(true)
  return socket
}

/** Until the guest has closed its side: then it has read everything. */
async function sendAll(socket: Socket): Promise<void> {
  const closed = new Promise((settle) => socket.once('end', settle).once('close', settle))
  socket.resume()
  const chunk = Buffer.alloc(MEBIBYTE)
  for (let sent = 0; sent < TCP_BYTES; sent += chunk.length)
    if (!socket.write(chunk)) await new Promise((settle) => socket.once('drain', settle))
  socket.end()
  await closed
}

async function receiveAll(socket: Socket): Promise<void> {
  // For QEMU's side: passt (2023-03) carries nothing from a server that has the first word. xt makes up for that.
  socket.write(Buffer.alloc(1))
  let received = 0
  for await (const chunk of socket) received += (chunk as Buffer).length
  if (received !== TCP_BYTES) throw new Error(`${received} bytes came from the guest, not ${TCP_BYTES}`)
}

async function roundTrips(socket: Socket): Promise<void> {
  const byte = Buffer.alloc(1)
  for (let i = 0; i < ROUND_TRIPS; i++) {
    const answer = new Promise((settle, reject) => socket.once('data', settle).once('close', reject))
    socket.write(byte)
    await answer
    socket.removeAllListeners('close')
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle))
  const { port } = server.address() as { port: number }
  await new Promise((settle) => server.close(settle))
  return port
}
