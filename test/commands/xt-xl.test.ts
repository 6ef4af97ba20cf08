/**
 * xt as `xl`: in bin/xl.js, as Ganeti cuts its output, and driven by Debian's Pacemaker agent (resource-agents; OCF_ROOT
 * names the folder that holds it) with a real guest.
 */
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { buildHello } from '../../src/testkit/micro-guests/hello.ts'
import { GuestLab } from '../system/guest.ts'
import { FakeDomain, finished, type Result, root, xtHome } from './fake-domain.ts'

// Each command is a process of its own; a busy machine is slow at starting them.
t.setTimeout(600_000)

/** A folder for PATH with xt's own source as `xl`. */
function xlOnPath(home: string): string {
  const folder = join(home, 'bin')
  mkdirSync(folder)
  const program = join(home, 'xl.mjs')
  writeFileSync(
    program,
    `import { main } from ${JSON.stringify(join(root, 'src/cli/main.ts'))}
process.exitCode = await main(process.argv.slice(2), { root: ${JSON.stringify(root)}, fromSource: true, as: 'xl' })`,
  )
  writeFileSync(join(folder, 'xl'), `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`)
  chmodSync(join(folder, 'xl'), 0o755)
  return folder
}

function run(home: string, path: string, ...words: readonly [string, ...string[]]): Promise<Result> {
  const env = { ...process.env, XT_HOME: home, PATH: `${path}:${process.env['PATH']}` }
  const [program, ...args] = words
  return finished(spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] }))
}

t.test('bin/xl.js is bin/run.js that says so to the program', async (t) => {
  const folder = xtHome(t)
  for (const name of ['run.js', 'xl.js']) cpSync(join(root, 'bin', name), join(folder, 'bin', name))
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  mkdirSync(join(folder, 'dist', 'cli'), { recursive: true })
  writeFileSync(
    join(folder, 'dist', 'cli', 'main.js'),
    'export const main = (argv, { as }) => { console.log(as, ...argv); return 3 }',
  )
  symlinkSync('bin/xl.js', join(folder, 'xl'))
  for (const [file, as] of [
    ['bin/run.js', 'xt'],
    ['bin/xl.js', 'xl'],
    ['xl', 'xl'],
  ] as const) {
    const { status, stdout } = spawnSync(process.execPath, [join(folder, file), 'list', '-v'], {
      encoding: 'utf8',
    })
    t.same({ status, stdout }, { status: 3, stdout: `${as} list -v\n` })
  }
})

t.test('the host is listed as Domain-0, as programs that drive xl expect', async (t) => {
  const home = xtHome(t)
  const path = xlOnPath(home)
  await FakeDomain.start(t, home)
  const xl = async (...args: readonly string[]) => (await run(home, path, 'xl', ...args)).stdout
  t.match(await xl('list'), /^Name .*\nDomain-0 {37}0 +\d+ +\d+ {5}r----- +\d+\.\d\ncon {42}1 /)
  t.match(await xl('list', 'Domain-0'), /^Name .*\nDomain-0 .*\n$/)
  t.match(await xl('list', '0'), /^Name .*\nDomain-0 .*\n$/)
  t.match(await xl('list', 'con'), /^Name .*\ncon .*\n$/)
  t.match(JSON.parse(await xl('list', '-l')), [
    { domid: 0, config: { c_info: { type: 'pv', name: 'Domain-0' } } },
    { domid: 1, config: { c_info: { type: 'pvh', name: 'con' } } },
  ])
  t.match(
    await xl('vm-list'),
    '\n00000000-0000-0000-0000-000000000000  0    Domain-0                      \n',
  )
  t.match(await xl('vcpu-list', 'Domain-0'), /\nDomain-0 +0 {5}0 {4}0 {3}r-- +\d+\.\d {2}all \/ all\n/)
  t.match(await xl('uptime'), /\nDomain-0 +0 .*\d+:\d\d:\d\d\ncon +1 /)
  t.equal(await xl('domid', 'Domain-0'), '0\n')
  t.equal(await xl('domname', '0'), 'Domain-0\n')
  t.match(await run(home, path, 'xl', 'destroy', '0'), { status: 1, stderr: /^Not destroying domain 0/ })
  t.notMatch((await run(home, path, process.execPath, join(root, 'bin/dev.js'), 'list')).stdout, 'Domain-0')
})

t.test('commands and their short forms are those of xl', async (t) => {
  const home = xtHome(t)
  const path = xlOnPath(home)
  const xl = (...args: readonly string[]) => run(home, path, 'xl', ...args)
  t.match(await xl('help'), { status: 0, stdout: /^ +\$ xt-xl /m })
  t.equal((await xl()).status, 1)
  t.match(await xl('xenstore', 'ls'), { status: 1, stderr: /^command not implemented: xenstore/ })
  t.match(await xl('config', 'check', 'x'), { status: 1 })
  t.match(await xl('pause'), { status: 2 })
  t.match(await xl('pause', 'nosuch'), { status: 1, stdout: '' })
  t.match(await xl('list', 'nosuch'), { status: 1, stdout: '' })
})

t.test('list has the six columns that Ganeti and the agent cut it at', async (t) => {
  const home = xtHome(t)
  await FakeDomain.start(t, home, 'web')
  const { stdout } = await run(home, xlOnPath(home), 'xl', 'list')
  const [header, host, row] = stdout.split('\n').map((line) => line.trim().split(/\s+/))
  t.same(header, ['Name', 'ID', 'Mem', 'VCPUs', 'State', 'Time(s)'])
  t.same(host?.slice(0, 2), ['Domain-0', '0'])
  t.same(row, ['web', '1', '256', '1', '-b----', '37.4'])
})

/** What the OCF specification calls its statuses. */
const OCF = { success: 0, notRunning: 7 }
const ocfRoot = process.env['OCF_ROOT'] ?? '/usr/lib/ocf'
const agent = join(ocfRoot, 'resource.d', 'heartbeat', 'Xen')
const noAgent = existsSync(agent) ? false : `${agent} is not installed (resource-agents)`

/** The agent with its resource's parameters; each action resolves with its status. */
function pacemakerResource(t: Test, lab: GuestLab) {
  const file = join(lab.home, 'guest.cfg')
  writeFileSync(join(lab.home, 'hello.elf'), buildHello())
  writeFileSync(file, `name = "clustered"\ntype = "pvh"\nkernel = "${lab.home}/hello.elf"\nmemory = 16\n`)
  const env = {
    ...process.env,
    XT_HOME: lab.home,
    PATH: `${xlOnPath(lab.home)}:${process.env['PATH']}`,
    OCF_ROOT: ocfRoot,
    OCF_RESOURCE_INSTANCE: 'clustered',
    OCF_RESKEY_xmfile: file,
    OCF_RESKEY_shutdown_timeout: '2',
    HA_RSCTMP: lab.home,
    HA_LOGFACILITY: 'none',
    HA_debug: '0',
  }
  return async (action: string): Promise<number | null> => {
    const { status, stderr } = await finished(
      spawn(agent, [action], { env, stdio: ['ignore', 'pipe', 'pipe'] }),
    )
    t.comment(`${action}: ${status}\n${stderr}`)
    return status
  }
}

t.test("Pacemaker's agent starts, watches and stops a guest", { skip: noAgent }, async (t) => {
  const lab = new GuestLab(t)
  const act = pacemakerResource(t, lab)
  t.equal(await act('validate-all'), OCF.success)
  t.equal(await act('monitor'), OCF.notRunning)
  t.equal(await act('start'), OCF.success)
  t.equal((await lab.row('clustered'))?.[1], '1')
  t.equal(await act('monitor'), OCF.success)
  t.equal(await act('start'), OCF.success, 'what runs is started')
  t.equal(await act('stop'), OCF.success)
  t.equal(await lab.row('clustered'), undefined)
  t.equal(await act('monitor'), OCF.notRunning)
  t.equal(await act('stop'), OCF.success, 'what is stopped is stopped')
})
