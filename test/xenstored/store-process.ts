/** Starts a store process for a test, and ends it with the test. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { connectXenstore, type ToolstackClient } from '../../src/xenstored/client.ts'
import { ensureXenstored } from '../../src/xenstored/ensure.ts'
import { storePlaces } from '../../src/xenstored/places.ts'

export interface TestStore {
  readonly runDir: string
  readonly socketPath: string
  readonly guestSocketPath: string
  /** A client that ends with the test. */
  client(options?: { revive?: boolean }): Promise<ToolstackClient>
  pid(): number
  log(): string
  /** kill -9 (or another signal), and waits until it is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>
}

/** Socket paths are short: not in tap's own directory. */
export async function testStore(t: Test, idleSeconds = 60): Promise<TestStore> {
  const runDir = mkdtempSync(join(tmpdir(), 'xt-store-'))
  const places = storePlaces(runDir)
  const log = () => readFileSync(places.log, 'utf8')
  const pid = () => Number(log().match(/.*process (\d+)/s)?.[1])
  const kill = async (signal: NodeJS.Signals = 'SIGKILL') => {
    const victim = pid()
    if (!isAlive(victim)) return
    process.kill(victim, signal)
    while (isAlive(victim)) await sleep(5)
  }
  t.teardown(async () => {
    // Also those that were started while another one was being killed.
    for (let left = processesOf(runDir); left.length > 0; left = processesOf(runDir)) {
      for (const each of left) process.kill(each, 'SIGKILL')
      await sleep(20)
    }
    rmSync(runDir, { recursive: true, force: true })
  })
  await ensureXenstored(runDir, { idleSeconds })
  const revive = () => ensureXenstored(runDir, { idleSeconds })
  return {
    runDir,
    ...places,
    pid,
    log,
    kill,
    async client(options = {}) {
      const { socketPath } = places
      const client = await connectXenstore(options.revive === true ? { socketPath, revive } : { socketPath })
      t.teardown(() => client.close())
      return client
    },
  }
}

/** Store processes of this directory. */
function processesOf(runDir: string): number[] {
  const ids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
  return ids.map(Number).filter((id) => isAlive(id) && commandLine(id).includes(runDir))
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return []
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    // A killed child of this test process stays as a zombie until it is reaped: that is dead enough.
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  } catch {
    return false
  }
}
