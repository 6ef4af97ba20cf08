#!/usr/bin/env node
// What every `npm run` of this checkout goes through: installs the packages when that is due, builds when asked to
// (--build), then runs a script under the Node that the checkout carries. Plain JavaScript without dependencies for
// Node 18 and newer, since on a fresh clone there is nothing else.
//
//     node scripts/bootstrap.js [--build] SCRIPT [ARGUMENT...]
import { spawn } from 'node:child_process'
import { existsSync, statSync, utimesSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const modules = join(root, 'node_modules')
const carriedNode = join(modules, 'node', 'bin', 'node')
/** npm's record of what it installed. */
const installed = join(modules, '.package-lock.json')

const args = process.argv.slice(2)
const wantsBuild = args[0] === '--build'
if (wantsBuild) args.shift()

if (Number.parseInt(process.versions.node, 10) < 18) {
  fail(`xt needs Node 18 or newer to install itself (this is ${process.versions.node}).`)
}
if (!isInstalled()) await install()
// Node reads these certificates at every start; nothing that runs from here speaks TLS.
delete process.env.NODE_EXTRA_CA_CERTS
// Programs that say `node` (tap, test programs) get the carried one, too.
process.env.PATH = [dirname(carriedNode), process.env.PATH].join(delimiter)
if (wantsBuild) {
  const status = await run([join(root, 'scripts', 'build.ts'), '--if-stale'])
  if (status !== 0) process.exit(status)
}
process.exitCode = await run([join(root, args[0]), ...args.slice(1)])

function isInstalled() {
  if (!existsSync(carriedNode) || !existsSync(installed)) return false
  return statSync(installed).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs
}

/**
 * Not `npm ci`: it refuses a lock file without the packages of every foreign platform. This, too, takes the locked
 * versions and checks their hashes; the lock file itself is left as it is.
 */
async function install() {
  const words = ['install', '--no-save', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']
  // As `npm run` names itself; a plain `node scripts/bootstrap.js` takes the npm of PATH.
  const npm = process.env.npm_execpath
  const [program, ...before] = /npm-cli\.js$/.test(npm ?? '') ? [process.execPath, npm] : ['npm']
  const child = spawn(program, [...before, ...words, '--engine-strict=false'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8')
    stream.on('data', (text) => {
      output += text
    })
  }
  const status = await withProgress('installing packages (once)', ended(child))
  if (status !== 0) fail(`${output}\nnpm could not install the packages: see above.`)
  if (!existsSync(carriedNode)) {
    fail(
      'npm installed the packages, but not the Node that comes with them: it does not run install scripts here.\n' +
        'Allow it once with `npm rebuild node --ignore-scripts=false`, then try again.',
    )
  }
  // npm leaves its record alone when nothing had to change.
  utimesSync(installed, new Date(), new Date())
}

/** Says every few seconds that something is still under way: in one line on a terminal, in lines of its own else. */
async function withProgress(what, work) {
  const start = Date.now()
  const seconds = () => `${Math.round((Date.now() - start) / 1000)} s`
  const { isTTY } = process.stderr
  const say = (text) => process.stderr.write(isTTY ? `\r${text}` : `${text}\n`)
  say(`${what} ...`)
  const timer = setInterval(() => say(`${what} ... ${seconds()}`), isTTY ? 1000 : 15_000)
  try {
    return await work
  } finally {
    clearInterval(timer)
    say(`${what}: ${seconds()}    ${isTTY ? '\n' : ''}`)
  }
}

/** Runs the carried Node with our streams; resolves with the exit status. */
function run(words) {
  const child = spawn(carriedNode, words, { stdio: 'inherit' })
  // A terminal sends SIGINT to the child as well; it decides what that means.
  for (const signal of ['SIGINT', 'SIGQUIT']) process.on(signal, () => {})
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  return ended(child)
}

/** The exit status, by a shell's numbers where a signal ended it. */
function ended(child) {
  return new Promise((settle) => {
    child.on('error', (error) => fail(`${child.spawnfile} could not be started: ${error.message}`))
    child.on('close', (status, signal) => settle(status ?? 128 + (constants.signals[signal] ?? 0)))
  })
}

function fail(text) {
  process.stderr.write(`${text}\n`)
  process.exit(1)
}
