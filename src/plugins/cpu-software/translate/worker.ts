/**
 * The thread that compiles regions for all vCPUs of a machine. Each has a port here, and a word in its state block
 * that counts the answers: a vCPU never comes to wait for messages, it looks at the word when it polls.
 *
 * Equal code is compiled once, whichever vCPU, address space or page it is found in: jobs are known by their content.
 */
import { createHash } from 'node:crypto'
import { type MessagePort, workerData } from 'node:worker_threads'
import { type CompileAnswer, type CompiledRegion, type CompileRequest, compileRegion } from './compiler.ts'
import type { RegionJob } from './job.ts'

export interface CompilerWorkerData {
  readonly ports: readonly { readonly port: MessagePort; readonly answers: number }[]
  readonly buffer: SharedArrayBuffer
}

/** Modules kept for whoever asks for the same again. */
const MOST_KEPT = 4000

const kept = new Map<string, CompiledRegion>()

const { ports, buffer } = workerData as CompilerWorkerData
const words = new Int32Array(buffer)
for (const { port, answers } of ports) {
  port.on('message', ({ id, job }: CompileRequest) => {
    port.postMessage(answer(id, job))
    // ORDER: who sees the count finds the message.
    Atomics.add(words, answers / 4, 1)
  })
}

function answer(id: number, job: CompileRequest['job']): CompileAnswer {
  try {
    return { id, compiled: known(job), error: undefined }
  } catch (error) {
    return { id, compiled: undefined, error: String(error instanceof Error ? error.stack : error) }
  }
}

function known(job: RegionJob): CompiledRegion {
  const key = keyOf(job)
  const found = kept.get(key) ?? compileRegion(job, true)
  // Last used, last out.
  kept.delete(key)
  kept.set(key, found)
  if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value!)
  return found
}

function keyOf({ pages, shape, uops }: RegionJob): string {
  const hash = createHash('sha1')
  for (const part of [pages, shape, uops]) hash.update(part).update(`${part.length};`)
  return hash.digest('base64')
}
