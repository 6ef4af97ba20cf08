/**
 * Entry of the store process: `node main.ts RUNDIR [IDLE_SECONDS]`. Started by ensure.ts when somebody needs the
 * store; a second one for the same directory ends at once. Few imports: `xt` waits for it to start.
 */
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { lockName, storePlaces } from './places.ts'
import { Service } from './service.ts'

const DEFAULT_IDLE_SECONDS = 60

const log = (message: string) => process.stderr.write(`${new Date().toISOString()} ${message}\n`)

/** True if this process is the only store of the directory from now until it ends. */
function lock(directory: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false)
      else reject(error)
    })
    server.listen(lockName(directory), () => resolve(true))
  })
}

async function main(runDir: string, idleSeconds: number): Promise<void> {
  const places = storePlaces(runDir)
  mkdirSync(places.directory, { recursive: true, mode: 0o700 })
  if (!(await lock(places.directory))) return
  const end = (why: string) => {
    log(why)
    service.stop()
    process.exit(0)
  }
  const service = new Service({
    places,
    idleSeconds,
    log,
    onIdle: () => end('nobody needs the store: it ends, its state stays on file'),
  })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => end(signal))
  await service.start()
  log(`process ${process.pid} serves ${places.socketPath}`)
}

const [runDir, idle] = process.argv.slice(2)
if (runDir === undefined) {
  log('usage: main RUNDIR [IDLE_SECONDS]')
  process.exitCode = 2
} else {
  await main(runDir, idle === undefined ? DEFAULT_IDLE_SECONDS : Number(idle))
}
