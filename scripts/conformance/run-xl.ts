/**
 * Cases of kind `xl`: the real command line, run as a process of its own, in a home of its own where the case's
 * domains seem to run. Each is a control socket that answers `info` and nothing else.
 */
import { execFile } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createMessageConnection, SocketMessageReader, SocketMessageWriter } from 'vscode-jsonrpc/node'
import type { Case, Outcome } from './case.ts'

interface XlDomain {
  readonly id: number
  readonly name: string
  readonly running: boolean
  readonly blocked: boolean
  readonly paused: boolean
  readonly shutdown: boolean
  readonly dying: boolean
  readonly memory_mib: number
  readonly vcpus: number
  readonly cpu_time_ns: string
  readonly uuid: string
  readonly shutdown_reason: number
}

const ENTRY = fileURLToPath(new URL('../../bin/dev.js', import.meta.url))
const HOST = fileURLToPath(new URL('./made-up-host.ts', import.meta.url))
const TIMEOUT_MS = 60_000

export async function runXl({ input }: Case): Promise<Outcome> {
  const { args, domains } = input as { args: string[]; domains: XlDomain[] }
  const home = await mkdtemp(join(tmpdir(), 'xt-xl-'))
  const servers = domains.map((domain) => pretend(join(home, 'run', 'domains', String(domain.id)), domain))
  try {
    return await runCommand(args, home)
  } finally {
    for (const server of servers) server.close()
    rmSync(home, { recursive: true, force: true })
  }
}

/** xl says no to a usage error and to an unknown domain alike: not 0. */
function runCommand(args: readonly string[], home: string): Promise<Outcome> {
  const env = { ...process.env, XT_HOME: home, NO_COLOR: '1' }
  return new Promise((settle) => {
    execFile(
      process.execPath,
      ['--import', HOST, ENTRY, ...args],
      { env, timeout: TIMEOUT_MS },
      (error, stdout, stderr) => {
        const exit = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
        settle({ ok: exit === 0, exit, parsed: stdout, error: stderr.trim(), codes: [] })
      },
    )
  })
}

function pretend(dir: string, domain: XlDomain): Server {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  writeFileSync(join(dir, 'domain.json'), JSON.stringify({ name: domain.name, uuid: domain.uuid }))
  const server = createServer((socket) => {
    socket.on('error', () => {})
    const rpc = createMessageConnection(new SocketMessageReader(socket), new SocketMessageWriter(socket))
    rpc.onRequest('info', () => info(domain))
    rpc.onError(() => {})
    rpc.listen()
  })
  server.listen(join(dir, 'control.sock'))
  return server
}

function info(domain: XlDomain): unknown {
  const state = domain.dying ? 'dying' : domain.shutdown ? 'shutdown' : domain.paused ? 'paused' : 'running'
  const vcpuState = domain.running ? 'running' : domain.blocked ? 'blocked' : 'parked'
  return {
    domid: domain.id,
    name: domain.name,
    uuid: domain.uuid,
    pid: process.pid,
    state,
    pauseCount: domain.paused ? 1 : 0,
    ...(domain.shutdown ? { shutdownReason: domain.shutdown_reason } : {}),
    memoryMiB: domain.memory_mib,
    // The time of a domain without an online vCPU is that of one which is down.
    vcpus: Array.from({ length: Math.max(1, domain.vcpus) }, (_, index) => ({
      index,
      state: domain.vcpus === 0 ? 'down' : vcpuState,
      ranNs: index === 0 ? Number(domain.cpu_time_ns) : 0,
    })),
    createdMs: 0,
    waitingFor: [],
    missingCalls: [],
    log: '',
    config: {},
  }
}
