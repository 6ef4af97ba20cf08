/**
 * The file of `xt create --cpu-trace`: a line for every event of every vCPU, four words apart by blanks (docs/debugging.md).
 *
 *   0 17 ffffffff81000123 5d0f3c4be1a29f08      vCPU, number of the event, RIP, hash of registers and RFLAGS
 *
 * All vCPUs append whole lines to the same file; each gathers some of them first.
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import type { Cpu } from '../cpu.ts'
import { cpuErrors } from '../errors.ts'
import { eventCount, wantEvents } from './trace.ts'

export interface TraceWish {
  readonly file: string
  /** Number of the first event that is wanted, from 1, and how many; Infinity for all. */
  readonly from: number
  readonly count: number
}

/** Characters that are gathered before they are written. */
const GATHERED = 65536

/** Makes the file empty. Throws XT_CPU_TRACE_FILE. */
export function beginTraceFile(path: string): void {
  try {
    closeSync(openSync(path, 'w'))
  } catch (error) {
    throw cpuErrors.XT_CPU_TRACE_FILE(path, (error as Error).message)
  }
}

export class TraceLog {
  readonly #path: string
  readonly #file: number
  #lines = ''

  constructor(cpu: Cpu, { file, from, count }: TraceWish) {
    this.#path = file
    this.#file = openSync(file, 'a')
    const { state } = cpu
    const { index } = cpu.host
    wantEvents(state, from)
    cpu.onEvent = (target, hash) => {
      const number = eventCount(state)
      this.#lines += `${index} ${number} ${word(target)} ${word(hash)}\n`
      if (number + 1 >= from + count) {
        wantEvents(state, Number.POSITIVE_INFINITY)
        this.flush()
      } else if (this.#lines.length >= GATHERED) this.flush()
    }
  }

  /** Writes what was gathered. Throws XT_CPU_TRACE_FILE, which ends the guest: a trace with a gap is none. */
  flush(): void {
    const bytes = Buffer.from(this.#lines, 'latin1')
    this.#lines = ''
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(this.#file, bytes, done)
    } catch (error) {
      throw cpuErrors.XT_CPU_TRACE_FILE(this.#path, (error as Error).message)
    }
  }
}

const word = (value: bigint): string => BigInt.asUintN(64, value).toString(16).padStart(16, '0')
