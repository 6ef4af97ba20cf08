/** Runs a program of the host to its end. */
import { spawn } from 'node:child_process'

export interface Ran {
  /** -1 if it could not be started or was killed. */
  readonly status: number
  readonly stderr: string
}

/** Never rejects. */
export function run(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  return new Promise((settle) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...env },
    })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.once('error', (error) => settle({ status: -1, stderr: error.message }))
    child.once('close', (status) => settle({ status: status ?? -1, stderr }))
  })
}
