#!/usr/bin/env node
// Entry of the built `xt`. Plain JavaScript for any Node that can load it: one older than 24 only starts the Node
// that a checkout carries (npm's `node` package) or says what to install. `xt --version` answers without loading more.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import module from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const NODE_LEAST = 24
const root = dirname(dirname(fileURLToPath(import.meta.url)))
// xl.js loads this file with ?as=xl.
const as = new URL(import.meta.url).searchParams.get('as') ?? 'xt'

if (process.argv.length === 3 && process.argv[2] === '--version') {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  process.stdout.write(`xt ${version}\n`)
} else if (Number.parseInt(process.versions.node, 10) < NODE_LEAST) {
  runCarriedNode(join(root, 'node_modules', 'node', 'bin', 'node'))
} else if (existsSync(join(root, 'dist', 'cli', 'main.js'))) {
  keepCompiledCode()
  const { main } = await import('../dist/cli/main.js')
  process.exitCode = await main(process.argv.slice(2), { root, as })
} else {
  fail('xt is not built yet: run `npm install` and `npm run build` first.')
}

/**
 * A quarter of a short command's time goes into compiling the same files again: Node keeps what it made of them beside
 * our kernels. Only in a cache that is this user's own, as what lies there is run (`sudo` may keep another's HOME).
 */
function keepCompiledCode() {
  const { XDG_CACHE_HOME, HOME } = process.env
  const cache = XDG_CACHE_HOME?.startsWith('/') ? XDG_CACHE_HOME : HOME && join(HOME, '.cache')
  try {
    if (cache && statSync(cache).uid === process.getuid())
      module.enableCompileCache(join(cache, 'xt', 'node'))
  } catch {
    // There is no such folder: it goes without.
  }
}

/** Becomes, as far as Node lets us, the same command under another Node: same streams, signals and exit status. */
function runCarriedNode(node) {
  if (!existsSync(node)) {
    fail(
      `xt needs Node ${NODE_LEAST} or newer (this is ${process.versions.node}): install it, or run \`npm install\` here.`,
    )
    return
  }
  const env = { ...process.env }
  // Node reads these certificates at every start; commands of xt speak no TLS.
  delete env.NODE_EXTRA_CA_CERTS
  const child = spawn(node, process.argv.slice(1), { stdio: 'inherit', env })
  const forward = (signal) => child.kill(signal)
  // A terminal sends these two to the child as well; once is enough.
  const signals = process.stdin.isTTY ? ['SIGTERM', 'SIGHUP'] : ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT']
  for (const signal of ['SIGINT', 'SIGQUIT']) process.on(signal, () => {})
  for (const signal of signals) process.on(signal, forward)
  child.on('error', (error) => fail(`xt could not start ${node}: ${error.message}`))
  child.on('exit', (status, signal) => {
    if (signal === null) process.exit(status)
    for (const name of ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(name)
    process.kill(process.pid, signal)
    // A signal that does not end this process (the child dumped core, we are PID 1): the shell's number for it.
    process.exitCode = 128 + constants.signals[signal]
  })
}

function fail(sentence) {
  process.stderr.write(`${sentence}\n`)
  process.exitCode = 1
}
