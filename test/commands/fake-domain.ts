/**
 * A domain without a guest: registered as a real one is, with a control socket and a console, but driven by the
 * test. And a way to run the command line in a process of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { parseDomainConfig } from '../../src/config/domain.ts'
import { type Claim, claimDomain } from '../../src/engine/claim.ts'
import type { DomainInfo } from '../../src/engine/control.ts'
import { ControlServer } from '../../src/engine/control-server.ts'
import type { ServedDevice } from '../../src/engine/devices.ts'
import { consoleSocket, xtPaths } from '../../src/engine/paths.ts'
import type { TraceAnswer } from '../../src/engine/trace-line.ts'
import { ConsolePort } from '../../src/plugins/console/port.ts'
import { Scrollback } from '../../src/plugins/console/scrollback.ts'

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** A place for xt's files that only this test uses; its name is short because sockets lie in it. */
export function xtHome(t: Test): string {
  const home = mkdtempSync(join(tmpdir(), 'xt-'))
  t.teardown(() => rmSync(home, { recursive: true, force: true }))
  return home
}

export const UUID = '00000000-1111-2222-3333-444444444401'

/** A configuration as `xt create` hands it over. */
export const { config } = parseDomainConfig(
  `name="con" uuid="${UUID}" type="pvh" kernel="/boot/vmlinuz" extra="console=hvc0" memory=256`.replaceAll(
    ' ',
    '\n',
  ),
  'con.cfg',
)

export class FakeDomain {
  readonly scrollback = new Scrollback(65536)
  readonly console: ConsolePort
  readonly requests: string[] = []
  typed = ''
  /** Whether it says anything about itself. */
  answers = true
  readonly #end = Promise.withResolvers<void>()
  info: DomainInfo
  claim!: Claim
  /** What the guest does about shutdown and reboot. */
  onRequest: (request: string) => void = () => {}
  devices: readonly ServedDevice[] = []
  /** What a tracer gets; null ends the trace. */
  onTrace: () => Promise<TraceAnswer | null> = async () => null
  /** What becomes of requests for devices. */
  onDevice: (what: 'attach' | 'detach' | 'change', request: object) => ServedDevice = (what, request) => {
    this.requests.push(`${what} ${JSON.stringify(request)}`)
    return { id: 0, name: '', spec: null }
  }
  readonly control: ControlServer

  private constructor(info: DomainInfo) {
    this.info = info
    this.console = new ConsolePort(this.scrollback, (bytes) => {
      this.typed += Buffer.from(bytes).toString('latin1')
      return bytes.length
    })
    const take = (request: string) => () => {
      this.requests.push(request)
      this.onRequest(request)
      return null
    }
    this.control = new ControlServer({
      info: async () => {
        if (!this.answers) await this.#end.promise
        return this.info
      },
      pause: take('pause'),
      unpause: take('unpause'),
      shutdown: take('shutdown'),
      reboot: take('reboot'),
      destroy: take('destroy'),
      rename: ({ name }) => {
        this.claim.rename(name)
        this.info = { ...this.info, name }
        return null
      },
      setVcpus: ({ count }) => take(`setVcpus ${count}`)(),
      setMemory: ({ kib }) => take(`setMemory ${kib}`)(),
      setMaxMemory: ({ kib }) => {
        take(`setMaxMemory ${kib}`)()
        return { machineKiB: 262144 }
      },
      sysrq: ({ key }) => take(`sysrq ${key}`)(),
      nmi: ({ vcpu }) => take(`nmi ${vcpu}`)(),
      updateConfig: ({ config }) => take(`updateConfig ${config.memoryKiB}`)(),
      deviceAttach: (request) => this.onDevice('attach', request),
      deviceDetach: (request) => this.onDevice('detach', request),
      deviceChange: (request) => this.onDevice('change', request),
      deviceList: () => this.devices,
      cpuCounters: () => ({ atMs: 0, vcpus: [] }),
      cpuProfile: () => [],
      traceOpen: () => 1,
      traceFetch: () => this.onTrace(),
      traceClose: () => null,
      dumpCore: ({ path }) => take(`dumpCore ${path}`)(),
    })
  }

  static async start(
    t: Test,
    home: string,
    name = 'con',
    more: Partial<DomainInfo> = {},
  ): Promise<FakeDomain> {
    const paths = xtPaths({ XT_HOME: home })
    const domain = new FakeDomain({
      domid: 0,
      name,
      uuid: UUID,
      pid: process.pid,
      state: 'running',
      pauseCount: 0,
      memoryMiB: 256,
      vcpus: [{ index: 0, state: 'blocked', ranNs: 37.44e9 }],
      createdMs: 0,
      waitingFor: [],
      missingCalls: [],
      log: '',
      config: { ...config, name },
      ...more,
    })
    domain.claim = await claimDomain(paths, { name, uuid: UUID }, (path) => domain.control.listen(path))
    domain.info = { ...domain.info, domid: domain.claim.domid }
    if (domain.info.state !== 'building') await domain.console.listen(consoleSocket(domain.claim.dir))
    t.teardown(() => domain.end())
    return domain
  }

  /** The end of the state `building`: from here on it has a console. */
  async built(): Promise<void> {
    await this.console.listen(consoleSocket(this.claim.dir))
    this.info = { ...this.info, state: 'running', pauseCount: 0 }
    this.control.tell({ type: 'state', state: 'running' })
  }

  print(text: string): void {
    this.scrollback.append(Buffer.from(text))
    this.console.outputArrived()
  }

  async end(): Promise<void> {
    this.#end.resolve()
    await this.console.close()
    await this.control.close().catch(() => {})
    this.claim.release()
  }
}

export interface Result {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs `xt` from source with nothing on standard input. */
export function xt(home: string, ...args: readonly string[]): Promise<Result> {
  return finished(startXt(home, args, 'ignore'))
}

export function startXt(home: string, args: readonly string[], stdin: 'ignore' | 'pipe'): ChildProcess {
  const env = { ...process.env, XT_HOME: home }
  return spawn(process.execPath, [join(root, 'bin', 'dev.js'), ...args], {
    env,
    stdio: [stdin, 'pipe', 'pipe'],
  })
}

export async function finished(child: ChildProcess): Promise<Result> {
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (piece) => {
    stdout += piece
  })
  child.stderr?.on('data', (piece) => {
    stderr += piece
  })
  const status = await new Promise<number | null>((settle) => child.once('close', settle))
  return { status, stdout, stderr }
}
