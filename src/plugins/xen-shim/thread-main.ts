/** A thread of backends: makes its service over the shared machine memory and answers the main thread (threads.ts). */

import { parentPort, workerData } from 'node:worker_threads'
import { createLog } from '../../base/log.ts'
import { MachineMemory } from '../../base/machine-memory.ts'
import { type CreateThreadService, type ThreadService, XtError } from '../../engine/plugin.ts'
import { LocalXen } from '../../xen/local.ts'
import { hostTimeMs } from './host-time.ts'
import type { Failure, FromThread, ThreadData, ToThread } from './threads.ts'

const post = (message: FromThread): void => parentPort!.postMessage(message)

async function main(): Promise<void> {
  const { memory, layout, doorbell, module, data } = workerData as ThreadData
  const defer = (task: () => void) => void setImmediate(task)
  const xen = new LocalXen({ memory: new MachineMemory(memory, layout), doorbell, defer, now: hostTimeMs })
  const log = createLog((level, line) => post({ type: 'log', level, line }))
  const { default: create } = (await import(module)) as { default: CreateThreadService }
  const xenhost = (backendPath: string) => xen.threadHost(backendPath)
  const service = await create({ log, xenhost, defer }, data as never)
  parentPort!.on('message', (message: ToThread) => {
    if (message.type === 'call') return void answer(service, message)
    xen[Symbol.dispose]()
    post({ type: 'ended', leftovers: xen.leftovers() })
    parentPort!.close()
  })
  post({ type: 'ready' })
}

async function answer(service: ThreadService, call: ToThread & { type: 'call' }): Promise<void> {
  const { id, name, args } = call
  try {
    post({ type: 'answer', id, value: await service[name]!(...args) })
  } catch (error) {
    post({ type: 'answer', id, failure: toFailure(error) })
  }
}

function toFailure(error: unknown): Failure {
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  return error instanceof XtError
    ? { message, stack, code: error.code, hint: error.hint }
    : { message, stack }
}

main().catch((error: unknown) => {
  post({ type: 'failed', failure: toFailure(error) })
  parentPort!.close()
})
