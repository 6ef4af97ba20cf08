/**
 * `npm run fuzz [-- --device vbd --inputs 1000000 --seed N]`: a hostile guest against every builtin backend, in memory.
 *
 * Looks for exceptions that leave a backend, guest memory that changes without a grant, what is not given back, and
 * hangs. Prints the seed, progress, and for what it finds the line that repeats it; ends with status 1 then. The work
 * is done in a thread, so that a backend which never returns is noticed too.
 */
import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { FuzzError, fuzzBackend, PER_LIFE } from '../src/testkit/fuzz.ts'
import { BACKENDS } from '../test/testkit/backends/index.ts'

const INPUTS = 1_000_000
/** A backend that has returned nothing for so long hangs. */
const HANG_MS = 120_000
const PROGRESS_MS = 10_000

interface Order {
  readonly device: string
  readonly seed: number
  readonly inputs: number
}
type News =
  | { readonly type: 'life'; readonly inputs: number; readonly lives: number; readonly nextSeed: number }
  | { readonly type: 'done'; readonly inputs: number; readonly lives: number; readonly kinds: string }
  | { readonly type: 'found'; readonly message: string; readonly seed: number }

const say = (text: string) => void process.stdout.write(`${text}\n`)

if (isMainThread) process.exitCode = await main()
else await work(workerData as Order)

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      device: { type: 'string', multiple: true },
      inputs: { type: 'string', default: String(INPUTS) },
      seed: { type: 'string' },
    },
  })
  const devices = values.device ?? Object.keys(BACKENDS)
  const inputs = Number(values.inputs)
  const seed = values.seed === undefined ? (Math.random() * 2 ** 32) >>> 0 : Number(values.seed)
  const unknown = devices.find((device) => BACKENDS[device] === undefined)
  if (unknown !== undefined || !Number.isInteger(inputs) || inputs < 1 || !Number.isInteger(seed)) {
    say(`usage: npm run fuzz [-- --device ${Object.keys(BACKENDS).join('|')} --inputs N --seed N]`)
    return 2
  }
  let failed = 0
  for (const device of devices) {
    say(`${device}: ${inputs} inputs from seed ${seed}`)
    if (!(await run({ device, seed, inputs }))) failed++
  }
  return failed === 0 ? 0 : 1
}

/** One backend in a thread of its own; false if something was found. */
function run(order: Order): Promise<boolean> {
  const { device } = order
  const start = performance.now()
  const seconds = () => ((performance.now() - start) / 1000).toFixed(1)
  const repeat = (seed: number) =>
    `  repeat it: npm run fuzz -- --device ${device} --seed ${seed} --inputs ${PER_LIFE}`
  return new Promise((settle) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: order })
    let seed = order.seed
    let said = performance.now()
    const end = (good: boolean, text: string) => {
      clearTimeout(watchdog)
      say(text)
      void worker.terminate().then(() => settle(good))
    }
    const hung = () => end(false, `${device}: nothing for ${HANG_MS / 1000} s\n${repeat(seed)}`)
    let watchdog = setTimeout(hung, HANG_MS)
    worker.on('message', (news: News) => {
      clearTimeout(watchdog)
      watchdog = setTimeout(hung, HANG_MS)
      if (news.type === 'found') return end(false, `${device}: ${news.message}\n${repeat(news.seed)}`)
      if (news.type === 'done')
        return end(
          true,
          `${device}: nothing found; ${news.inputs} inputs, ${news.lives} lives, ${seconds()} s\n  ${news.kinds}`,
        )
      seed = news.nextSeed
      if (performance.now() - said < PROGRESS_MS) return
      said = performance.now()
      say(`  ${news.inputs} inputs, ${news.lives} lives, ${seconds()} s; next seed ${seed}`)
    })
    worker.on('error', (error) => end(false, `${device}: ${error.stack ?? error.message}\n${repeat(seed)}`))
  })
}

async function work({ device, seed, inputs }: Order): Promise<void> {
  const tell = (news: News) => parentPort!.postMessage(news)
  let current = seed
  const escaped = (error: unknown) =>
    tell({
      type: 'found',
      message: `an exception left it: ${(error as Error)?.stack ?? error}`,
      seed: current,
    })
  process.on('uncaughtException', escaped)
  process.on('unhandledRejection', escaped)
  try {
    const result = await fuzzBackend(BACKENDS[device]!, {
      seed,
      inputs,
      onLife: ({ inputs, lives, nextSeed }) => {
        current = nextSeed
        tell({ type: 'life', inputs, lives, nextSeed })
      },
    })
    const kinds = Object.entries(result.inputsByKind).map(([kind, count]) => `${count} ${kind}`)
    tell({ type: 'done', inputs: result.inputs, lives: result.lives, kinds: kinds.sort().join(', ') })
  } catch (error) {
    if (error instanceof FuzzError) tell({ type: 'found', message: error.message, seed: error.seed })
    else escaped(error)
  }
}
