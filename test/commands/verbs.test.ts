/** Tables against those recorded from xl 4.17, and what reaches a domain. Values of the machine are left out. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { logDir, xtPaths } from '../../src/engine/paths.ts'
import { testStore } from '../xenstored/store-process.ts'
import { FakeDomain, UUID, xt, xtHome } from './fake-domain.ts'

// Each command is a process of its own; a busy machine is slow at starting them.
t.setTimeout(300_000)

const INFO_FIELDS =
  `host release version machine nr_cpus max_cpu_id nr_nodes cores_per_socket threads_per_core cpu_mhz
hw_caps virt_caps total_memory free_memory sharing_freed_memory sharing_used_memory outstanding_claims free_cpus
xen_major xen_minor xen_extra xen_version xen_caps xen_scheduler xen_pagesize platform_params xen_changeset
xen_commandline cc_compiler cc_compile_by cc_compile_domain cc_compile_date build_id xend_config_format`.split(
    /\s+/,
  )

t.test('info has the fields of xl in its order; a field alone is a beginning of names', async (t) => {
  const home = xtHome(t)
  const lines = (await xt(home, 'info')).stdout.trimEnd().split('\n')
  t.same(
    lines.map((line) => /^([a-z_]+) *: /.exec(line)?.[1]),
    INFO_FIELDS,
  )
  for (const line of lines) t.equal(line.indexOf(': '), 23)
  t.equal((await xt(home, 'info', 'host')).stdout, `${hostname()}\n`)
  t.equal((await xt(home, 'info', 'xen_m')).stdout, '4\n17\n')
  const numa = (await xt(home, 'info', '-n')).stdout
  t.match(numa, '\ncpu_topology           :\ncpu:    core    socket     node\n  0: ')
  t.match(numa, /\nnode: {4}memsize {4}memfree {4}distances\n {3}0: {4} *\d+ {5} *\d+ {6}10\nxen_major/)
  t.same(Object.keys(JSON.parse((await xt(home, 'info', '--json')).stdout)), INFO_FIELDS)
})

t.test('info with a domain is what its process says, with hypercalls that are not there', async (t) => {
  const home = xtHome(t)
  await FakeDomain.start(t, home, 'con', { missingCalls: ['memory_op exchange'] })
  const { status, stdout } = await xt(home, 'info', 'con')
  t.equal(status, 0)
  t.match(stdout, /^domid: 1\nname: "con"\n/)
  t.match(stdout, '\nmissingCalls[0]: "memory_op exchange"\n')
  t.match(JSON.parse((await xt(home, 'info', '1', '--json')).stdout), {
    domid: 1,
    missingCalls: ['memory_op exchange'],
  })
  t.match(await xt(home, 'info', 'nosuch'), { status: 1, stderr: /^nosuch is an invalid domain identifier/ })
})

t.test('list -l is the same JSON with --json; a word too many is named and passed over', async (t) => {
  const home = xtHome(t)
  await FakeDomain.start(t, home)
  const long = await xt(home, 'list', '-l')
  t.same(JSON.parse((await xt(home, 'list', '-l', '--json')).stdout), JSON.parse(long.stdout))
  t.same(await xt(home, 'domid', 'con', 'more'), {
    status: 0,
    stdout: '1\n',
    stderr: '"more" is ignored: it is one word too many.\n',
  })
})

t.test('vm-list, vcpu-list and uptime print the tables of xl', async (t) => {
  const home = xtHome(t)
  await FakeDomain.start(t, home, 'hot', {
    pid: 0,
    createdMs: Date.now() - 90_061_000,
    vcpus: [
      { index: 0, state: 'blocked', ranNs: 20.34e9 },
      { index: 1, state: 'offline', ranNs: 0 },
    ],
  })
  t.equal(
    (await xt(home, 'vm-list')).stdout,
    `UUID                                  ID    name\n${UUID}  1    hot                           \n`,
  )
  t.equal(
    (await xt(home, 'vcpu-list', 'hot')).stdout,
    'Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)\n' +
      'hot                                  1     0    -   -b-      20.3  all / all\n' +
      'hot                                  1     1    -   --p       0.0  all / all\n',
  )
  t.match((await xt(home, 'uptime')).stdout, /^Name {32}ID Uptime\nhot {34}1 1 day, {2}1:01:\d\d\n$/)
  t.match((await xt(home, 'uptime', '-s', 'hot')).stdout, /^ \d\d:\d\d:\d\d up 1 day, {2}1:01, hot \(1\)\n$/)
  const [row] = JSON.parse((await xt(home, 'vcpu-list', '--json')).stdout)
  t.same(row, {
    name: 'hot',
    domid: 1,
    vcpu: 0,
    online: true,
    running: false,
    blocked: true,
    cpuSeconds: 20.34,
  })
})

t.test('lists of devices have a header even where there is nothing', async (t) => {
  const home = xtHome(t)
  await FakeDomain.start(t, home)
  const block = 'Vdev  BE  handle state evt-ch ring-ref BE-path                       \n'
  const network =
    'Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path                       \n'
  t.same(await xt(home, 'block-list', 'con'), { status: 0, stdout: block, stderr: '' })
  t.same(await xt(home, 'network-list', 'con'), { status: 0, stdout: network, stderr: '' })
  t.match(await xt(home, 'block-list', 'nosuch'), { status: 0, stdout: block, stderr: /^nosuch is an inv/ })
  t.match(await xt(home, 'network-list', 'nosuch'), { status: 1, stdout: network })
  const channels = 'Idx BE state evt-ch ring-ref connection                               \n'
  t.same(await xt(home, 'channel-list', 'con'), { status: 0, stdout: channels, stderr: '' })
  t.match(await xt(home, 'channel-list', 'nosuch'), {
    status: 1,
    stdout: channels,
    stderr: /^nosuch is an invalid domain identifier/,
  })
  t.match(await xt(home, 'channel-list'), { status: 2, stdout: '' })
})

t.test('channels are listed as xl lists them', async (t) => {
  const home = xtHome(t)
  const { claim } = await FakeDomain.start(t, home)
  const store = await testStore(t)
  symlinkSync(join(store.runDir, 'xenstored'), join(home, 'run', 'xenstored'))
  const { domid } = claim
  const record = (id: number) => `/libxl/${domid}/device/console/${id}`
  const [front, back] = [
    `/local/domain/${domid}/device/console/1`,
    `/local/domain/0/backend/console/${domid}/1`,
  ]
  // As xl 4.17 left them (pvh-channel).
  const nodes = [
    ...[`${record(0)}/backend`, `/local/domain/0/backend/console/${domid}/0`],
    ...[`${record(0)}/frontend`, `/local/domain/${domid}/console`],
    ...[`${record(1)}/backend`, back, `${record(1)}/frontend`, front, `${back}/connection`, 'socket'],
    ...[`${front}/backend-id`, '0', `${front}/state`, '4', `${front}/port`, '7', `${front}/ring-ref`, '8'],
  ]
  t.equal((await xt(home, 'xenstore', 'write', ...nodes)).status, 0)
  const stdout =
    'Idx BE state evt-ch ring-ref connection                               \n0   0  4     7      8        socket     \n'
  t.same(await xt(home, 'channel-list', 'con'), { status: 0, stdout, stderr: '' })
})

t.test('what changes a guest reaches its domain, sizes in all units', async (t) => {
  const home = xtHome(t)
  const domain = await FakeDomain.start(t, home)
  for (const line of [
    'vcpu-set -i con 3',
    'mem-set con 300',
    'mem-set con 262144k',
    'mem-max con 256m',
    'sysrq con h',
    'trigger con nmi',
    'trigger con nmi 1',
  ]) {
    t.same(await xt(home, ...line.split(' ')), { status: 0, stdout: '', stderr: '' }, line)
  }
  t.same(domain.requests, [
    'setVcpus 3',
    'setMemory 307200',
    'setMemory 262144',
    'setMaxMemory 262144',
    'sysrq h',
    'nmi 0',
    'nmi 1',
  ])
  const more = await xt(home, 'mem-max', 'con', '1g')
  t.same(
    [more.status, more.stderr],
    [0, 'con was made with 262144 KiB: it can have more after its next reboot.\n'],
  )
  t.match(await xt(home, 'trigger', 'con', 'power'), { status: 0, stderr: /no effect: a PVH guest has no/ })
})

t.test('config-update hands the new configuration over', async (t) => {
  const home = xtHome(t)
  const domain = await FakeDomain.start(t, home)
  const file = join(home, 'new.cfg')
  writeFileSync(file, 'name="other"\ntype="pvh"\nkernel="/boot/vmlinuz"\nmemory=512\n')
  t.same(await xt(home, 'config-update', 'con', file, 'memory=128'), {
    status: 0,
    stdout: '',
    stderr: `Parsing config from ${file}\n`,
  })
  t.same(domain.requests, ['updateConfig 131072'])
  t.match(
    await xt(home, 'config-update', 'con'),
    { status: 1, stderr: 'Config file not specified\nxt config-update DOMAIN FILE [key=value ...]\n' },
    'xl has another status here than for create',
  )
  const tried = await xt(home, '-N', 'config-update', 'con', file)
  t.match(tried.stdout, /"max_memkb": 524288/)
  t.equal(domain.requests.length, 1, 'a dry run hands nothing over')
})

t.test(
  'dmesg is the logs of all domains in the order of time; -c shows them for the last time',
  async (t) => {
    const home = xtHome(t)
    const dir = logDir(xtPaths({ XT_HOME: home }))
    mkdirSync(dir, { recursive: true })
    const at = (time: string) => `2026-01-02T03:04:0${time}Z`
    writeFileSync(
      join(dir, 'one.log'),
      `${at('1.000')} info  begin\n${at('3.000')} error end\n    at place\n`,
    )
    writeFileSync(join(dir, 'two.log'), `${at('2.000')} info  between\n`)
    const all =
      '(XEN) [2026-01-02 03:04:01.000] one: begin\n(XEN) [2026-01-02 03:04:02.000] two: between\n' +
      '(XEN) [2026-01-02 03:04:03.000] one: error: end\n(XEN) [2026-01-02 03:04:03.000] one: error:     at place\n'
    t.equal((await xt(home, 'dmesg')).stdout, all)
    t.equal((await xt(home, 'dmesg', '-c')).stdout, all)
    t.equal((await xt(home, 'dmesg')).stdout, '')
  },
)

/** Statuses as recorded from xl 4.17. */
const REFUSED: readonly (readonly [string, number, string])[] = [
  ['mem-set con abc', 1, 'invalid memory size: abc'],
  ['mem-set con 0.2g', 1, 'invalid memory size: 0.2g'],
  ['mem-set con 0', 1, 'invalid memory size: 0'],
  ['vcpu-set con two', 1, 'Error: Invalid argument: "two" is no number of vCPUs'],
  ['vcpu-set con 4096', 1, 'You are overcommitting: this machine has '],
  ['sysrq con hh', 1, 'Invalid sysrq: it is one letter or digit.'],
  ['trigger con foo', 1, 'Invalid trigger "foo"'],
  ['console -t serial con', 1, 'Unable to attach console: con has no serial console.'],
  ['console -t foo con', 1, 'console type supported are: pv, serial, vuart'],
  ['trigger nosuch nmi', 1, 'nosuch is an invalid domain identifier: no such domain'],
  ['uptime nosuch', 1, 'nosuch is an invalid domain identifier: no such domain'],
  ['config-update', 1, 'xt config-update requires a domain argument'],
  ['block-list', 2, "'xt block-list' requires at least 1 argument."],
  ['migrate con', 2, "'xt migrate' requires at least 2 arguments."],
  ['save nosuch file', 1, 'nosuch is an invalid domain identifier: no such domain'],
  ['save con file', 1, 'xt save: the state of a guest cannot be saved and restored yet.'],
  ['save -q con file', 2, "option `q' not supported."],
  ['top -b -n 1', 2, "option `b' not supported."],
  ['migrate --fast con host', 2, "option `fast' not supported."],
  ['save con -cp', 2, "'xt save' requires at least 2 arguments."],
  ['migrate -s ssh con', 2, "'xt migrate' requires at least 2 arguments."],
  ['migrate con host -s', 2, 'option -s expects a value'],
  ['save -cp con file', 1, 'xt save: the state of a guest cannot be saved and restored yet.'],
  ['sched-credit --domain con -w 512', 1, 'xt sched-credit: the host schedules the vCPUs'],
  ['vcpu-pin con all -- -', 1, 'xt vcpu-pin: the host schedules the vCPUs'],
  ['pci-assignable-l', 1, 'xt pci-assignable-list: there is no passing through of host devices.'],
]

t.test('what cannot be done is refused in a sentence, with the status of xl', async (t) => {
  const home = xtHome(t)
  await FakeDomain.start(t, home)
  for (const [line, status, sentence] of REFUSED) {
    const result = await xt(home, ...line.split(' '))
    t.equal(result.stdout, '', line)
    t.ok(result.stderr.startsWith(sentence), `${line}: ${result.stderr}`)
    t.equal(result.status, status, line)
  }
})

t.test('help lists the verbs that are not there yet, and describes each', async (t) => {
  const home = xtHome(t)
  t.match((await xt(home, 'help')).stdout, /NOT THERE YET\n(?: {2}.*\n)* {2}migrate {10} +Move a domain/)
  t.match(await xt(home, 'help', 'migrate'), {
    status: 0,
    stdout: /\$ xt migrate \[-FepD\] .*DOMAIN HOST\n/,
  })
})
