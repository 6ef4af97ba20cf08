/** Programs of the host that make images: run to their end, their output as progress, their absence by package. */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { findProgram } from '../assets/host-program.ts'
import { imageErrors } from './errors.ts'

export type Progress = (line: string) => void

export interface RunOptions {
  /** What is being done, for messages. */
  readonly step: string
  /** Each line that the program prints, on either stream. */
  readonly onLine?: Progress
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly signal?: AbortSignal
}

/** @throws XtError XT_IMAGE_NO_PROGRAM */
export function mustHave(program: string, what: string, packages: string): string {
  const path = findProgram(program)
  if (path === undefined) throw imageErrors.XT_IMAGE_NO_PROGRAM(program, what, packages)
  return path
}

/** Rejects with XT_IMAGE_FAILED and the program's last words. */
export async function run(program: string, words: readonly string[], options: RunOptions): Promise<void> {
  const { step, onLine = () => {}, env, cwd, signal } = options
  const child = spawn(program, words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C.UTF-8', ...env },
    ...(cwd === undefined ? {} : { cwd }),
  })
  // A program that makes a file system in a namespace of its own cleans up when it is asked to end.
  const abort = () => child.kill('SIGTERM')
  signal?.addEventListener('abort', abort, { once: true })
  const last: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    let rest = ''
    stream.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split(/[\r\n]/)
      rest = lines.pop()!
      for (const line of lines.filter((each) => each.trim() !== '')) {
        if (last.push(line) > 5) last.shift()
        onLine(line)
      }
    })
  }
  try {
    const status = await new Promise<number>((settle, reject) => {
      child.once('error', reject)
      child.once('close', (code, by) => settle(code ?? 128 + constants.signals[by!]))
    })
    if (status === 0) return
    throw imageErrors.XT_IMAGE_FAILED(step, last.join('; ') || `exit status ${status}`)
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}
