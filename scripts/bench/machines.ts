/**
 * The two machines that are compared: a domain of xt and a virtual machine of QEMU with its software CPU, each with
 * the same kernel and initramfs, as many CPUs and as much memory, started so that the time of the kernel's start is known.
 *
 * xt: the domain is built paused (`xt create -p`), then unpaused: the kernel starts with the first vCPU, already
 * unpacked. QEMU unpacks it in the guest: there the kernel's start is its first line, which `earlyprintk` brings out.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { consoleLine } from '../../src/base/console-wire.ts'
import { connectDomain, findDomain } from '../../src/engine/domains.ts'
import { consoleSocket, domainLog, type XtPaths, xtPaths } from '../../src/engine/paths.ts'
import { GuestLines } from './guest-lines.ts'
import { cpuSeconds } from './process-times.ts'

const root = join(import.meta.dirname, '../..')

export interface MachineSpec {
  readonly vmlinuz: string
  readonly ramdisk: string
  /** Added to the kernel's command line. */
  readonly cmdline: string
  readonly vcpus: number
  readonly memoryMiB: number
  /** Raw files: the first and second disk. */
  readonly disks?: readonly string[]
  /** Folder that is shared as `bench`. */
  readonly share?: string
  /** Ports of the host's loopback that lead to ports of the guest, by passt. */
  readonly forwards?: readonly (readonly [hostPort: number, guestPort: number])[]
}

/** A running machine. Disposing it ends the machine. */
export interface Machine extends AsyncDisposable {
  readonly pid: number
  readonly lines: GuestLines
  /** From the command until the machine was there, milliseconds; and when and with what CPU time the kernel started. */
  readonly kernelStart: { readonly atMs: number; readonly cpu: number }
  readonly commandMs: number
}

/** Starts machines of one kind. Disposing it ends them, whatever they do. */
export interface MachineKind extends Disposable {
  readonly name: 'xt' | 'QEMU'
  start(spec: MachineSpec): Promise<Machine>
}

/** Domains of xt in a home of their own. */
export class XtMachines implements MachineKind {
  readonly name = 'xt'
  readonly #home = mkdtempSync(join(tmpdir(), 'xt-bench-'))
  readonly #paths: XtPaths = xtPaths({ XT_HOME: this.#home })
  #running = false

  async start(spec: MachineSpec): Promise<Machine> {
    const settings = {
      name: 'bench',
      kernel: spec.vmlinuz,
      ramdisk: spec.ramdisk,
      vcpus: spec.vcpus,
      memory: spec.memoryMiB,
      extra: `console=hvc0 ${spec.cmdline}`,
      disk: (spec.disks ?? []).map((file, i) => `format=raw,vdev=xvd${'ab'[i]},access=rw,target=${file}`),
      vif:
        spec.forwards === undefined
          ? []
          : [`forward=${spec.forwards.map((pair) => pair.join(':')).join(' ')}`],
      p9: spec.share === undefined ? [] : [`tag=bench,path=${spec.share},security_model=none`],
    }
    const words = Object.entries(settings).map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    const commandMs = performance.now()
    this.xt('create', '-q', '-p', join(root, 'examples/debian.cfg'), ...words)
    const builtMs = performance.now()
    this.#running = true
    const entry = await findDomain(this.#paths, 'bench')
    const client = await connectDomain(entry)
    const { pid } = await client.info()
    const socket = connect(consoleSocket(entry.dir))
    socket.write(consoleLine({ mode: 'read', replay: true }))
    const lines = new GuestLines(
      socket,
      () => cpuSeconds(pid),
      () => readFileSync(domainLog(this.#paths, 'bench'), 'utf8'),
    )
    await lines.line(/"ok":true/)
    const kernelStart = { atMs: performance.now(), cpu: cpuSeconds(pid) }
    await client.unpause()
    const ended = () => {
      this.#running = false
    }
    return {
      pid,
      lines,
      kernelStart,
      // What we did between the two is no part of it.
      commandMs: commandMs + kernelStart.atMs - builtMs,
      async [Symbol.asyncDispose]() {
        await client.destroy()
        ended()
        client[Symbol.dispose]()
        socket.destroy()
      },
    }
  }

  /** Runs a command to its end, as built. */
  xt(...args: readonly string[]): void {
    const env = { ...process.env, XT_HOME: this.#home }
    const words = [join(root, 'bin/run.js'), ...args]
    const { status, stderr } = spawnSync(process.execPath, words, { env, encoding: 'utf8' })
    if (status !== 0) throw new Error(`xt ${args.join(' ')} ended with status ${status}: ${stderr}`)
  }

  [Symbol.dispose](): void {
    if (this.#running) this.xt('destroy', 'bench')
    // The store ends by itself when nobody needs it; without its directory it has nothing to keep.
    rmSync(this.#home, { recursive: true, force: true })
  }
}

const QEMU = 'qemu-system-x86_64'

/** First line of `--version`, or undefined where QEMU is not installed. */
export function qemuVersion(): string | undefined {
  const { status, stdout } = spawnSync(QEMU, ['--version'], { encoding: 'utf8' })
  return status === 0 ? stdout.split('\n')[0] : undefined
}

/** Machine `pc`: Debian's kernel cannot tell the speed of its clock on `microvm` without KVM, and hangs. */
const QEMU_MACHINE =
  '-machine pc -accel tcg,thread=multi -cpu max -nodefaults -no-user-config -display none -serial stdio'.split(
    ' ',
  )

function deviceWords({ disks = [], share }: MachineSpec): readonly string[] {
  const drives = disks.flatMap((file, i) => [
    '-drive',
    `if=none,id=d${i},format=raw,file=${file}`,
    '-device',
    `virtio-blk-pci,drive=d${i}`,
  ])
  if (share === undefined) return drives
  const folder = ['-fsdev', `local,id=f,path=${share},security_model=none`]
  return [...drives, ...folder, '-device', 'virtio-9p-pci,fsdev=f,mount_tag=bench']
}

export class QemuMachines implements MachineKind {
  readonly name = 'QEMU'
  readonly #children = new Set<ChildProcess>()

  async start(spec: MachineSpec): Promise<Machine> {
    const append = `console=ttyS0 earlyprintk=ttyS0 ${spec.cmdline}`
    const commandMs = performance.now()
    const size = ['-smp', `${spec.vcpus}`, '-m', `${spec.memoryMiB}`]
    const files = ['-kernel', spec.vmlinuz, '-initrd', spec.ramdisk, '-append', append]
    const network = spec.forwards === undefined ? undefined : await this.#startPasst(spec.forwards)
    const words = [...QEMU_MACHINE, ...size, ...files, ...deviceWords(spec), ...(network?.words ?? [])]
    const child = spawn(QEMU, words, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#children.add(child)
    const { pid } = child
    if (pid === undefined) throw new Error(`${QEMU} does not start`)
    const lines = new GuestLines(child.stdout, () => cpuSeconds(pid))
    const ended = new Promise((settle) => child.once('exit', settle))
    return {
      pid,
      lines,
      kernelStart: await lines.line(/\] Linux version /),
      commandMs,
      async [Symbol.asyncDispose]() {
        child.kill('SIGKILL')
        await ended
        network?.passt.kill()
      },
    }
  }

  /** passt as xt starts it, but with a socket that QEMU connects to. */
  async #startPasst(forwards: NonNullable<MachineSpec['forwards']>) {
    const directory = mkdtempSync(join(tmpdir(), 'xt-bench-passt-'))
    // Started by root it becomes nobody, and tries its own socket.
    chmodSync(directory, 0o777)
    const path = join(directory, 'socket')
    const ports = forwards.flatMap(([host, guest]) => ['--tcp-ports', `127.0.0.1/${host}:${guest}`])
    const common = ['--foreground', '--quiet', '--mtu', '65517', '--no-map-gw', '--one-off']
    const passt = spawn('passt', [...common, '--socket', path, ...ports], { stdio: 'ignore' })
    this.#children.add(passt)
    passt.once('exit', () => rmSync(directory, { recursive: true, force: true }))
    while (!existsSync(path)) {
      if (passt.exitCode !== null) throw new Error(`passt ended with status ${passt.exitCode}`)
      await sleep(20)
    }
    const words = `-netdev stream,id=n,server=off,addr.type=unix,addr.path=${path} -device virtio-net-pci,netdev=n`
    return { passt, words: words.split(' ') }
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) child.kill('SIGKILL')
  }
}
