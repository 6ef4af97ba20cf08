/** Debian's own kernels from boot to every kind of end, on one, two and four vCPUs, through the command line. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { debianKernel, type KernelFlavour } from '../../scripts/assets/fetch-debian-kernel.ts'
import { initramfs, runArgument } from '../../scripts/assets/make-initramfs.ts'
import { finished } from '../commands/fake-domain.ts'
import { debianArguments, type GuestConsole, GuestLab, isCached, until } from './guest.ts'

t.setTimeout(1_200_000)

const SHELL = /Root shell on hvc0\./

/** The files to boot, or a sentence why there are none. */
async function filesOf(flavour: KernelFlavour) {
  try {
    return { ...(await debianKernel({ flavour })), ramdisk: await initramfs() }
  } catch (error) {
    return (error as Error).message
  }
}

const cloud = await filesOf('cloud')
const skip = typeof cloud === 'string' ? cloud : false
const create = (settings: Readonly<Record<string, string | number>>): readonly string[] =>
  typeof cloud === 'string' ? [] : debianArguments(cloud, settings)

interface ClockReading {
  /** The host's clock before and after the guest was asked; all in seconds since 1970. */
  readonly before: number
  readonly guest: number
  readonly after: number
}

async function readClock(console: GuestConsole): Promise<ClockReading> {
  const before = Date.now() / 1000
  const guest = Number(await console.ask('date +%s'))
  return { before, guest, after: Date.now() / 1000 }
}

/** The guest's clock went as ours between two readings, give or take that it shows whole seconds. */
function keepsTime(first: ClockReading, second: ClockReading): boolean {
  const passed = second.guest - first.guest
  return passed > second.before - first.after - 1.5 && passed < second.after - first.before + 1.5
}

/** Linux counts ticks until it has found Xen's clock: of these some are lost on a machine that has no time for it. */
const isNear = ({ before, guest }: ClockReading): boolean => Math.abs(guest - before) < 60

t.test(
  'one vCPU: boots to a shell, is paused and goes on, and its panic is reported as a crash',
  { skip },
  async (t) => {
    const lab = new GuestLab(t)
    await lab.must(...create({ name: 'one', on_crash: 'preserve' }))
    const console = lab.console('one')
    await console.sees(SHELL)
    for (const line of [
      'Hypervisor detected: Xen HVM',
      'Booting kernel on Xen PVH',
      'console [hvc0] enabled',
    ]) {
      t.match(console.output, line)
    }
    t.notMatch(console.output, /BUG:|WARNING:|Call Trace|rcu: INFO|soft lockup/)
    t.equal(await console.ask('nproc'), '1')
    t.equal(await console.ask('cat /sys/hypervisor/type'), 'xen')
    const { uuid, config } = await lab.info('one')
    t.equal(await console.ask('cat /sys/hypervisor/uuid'), uuid)
    t.match(await console.ask('cat /proc/cmdline'), config.cmdline)
    const early = await readClock(console)
    t.ok(isNear(early), 'the clock is right')
    await lab.must('pause', 'one')
    const pausedAt = Date.now()
    t.match(await lab.row('one'), ['one', '1', '256', '1', '--p---'])
    const from = console.output.length
    console.type('echo awake\n')
    await until('three seconds have passed', () => Date.now() - pausedAt > 3000)
    t.equal(console.output.slice(from), '', 'a paused guest does not even echo')
    await lab.must('unpause', 'one')
    await console.sees(/\nawake\r\n/, from)
    t.ok(keepsTime(early, await readClock(console)), 'time goes on while a guest is paused')

    console.type('echo c > /proc/sysrq-trigger\n')
    await until('it has crashed', async () => (await lab.row('one'))?.[4] === '---sc-')
    await console.sees(/Kernel panic - not syncing: sysrq triggered crash/)
    t.match(await lab.info('one'), { state: 'shutdown', shutdownReason: 3 })
    await lab.must('destroy', 'one')
    t.same(await lab.leftovers(), [])
  },
)

t.test('two vCPUs: both work, reboot gives a new number, power-off ends it', { skip }, async (t) => {
  const lab = new GuestLab(t)
  await lab.must(...create({ name: 'two', vcpus: 2 }))
  const first = lab.console('two')
  await first.sees(SHELL)
  t.notMatch(first.output, /BUG:|WARNING:|Call Trace|rcu: INFO|soft lockup/)
  t.equal(await first.ask('nproc'), '2')
  t.equal(await first.ask('cat /sys/devices/system/cpu/online'), '0-1')
  t.match(await lab.row('two'), ['two', '1', '256', '2'])
  const work = 'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; cut -d" " -f39 /proc/$$/stat; echo $i'
  for (const cpu of [0, 1]) t.equal(await first.ask(`taskset -c ${cpu} sh -c '${work}'`), `${cpu}\n3000`)
  // Both at once, with forks, pipes and the page cache between them.
  const sums = await first.ask(
    'dd if=/dev/urandom of=/tmp/r bs=64k count=16 2>/dev/null; ' +
      'for i in 1 2 3 4; do (gzip -c /tmp/r | gunzip -c | md5sum) & done; wait; md5sum < /tmp/r',
  )
  const lines = sums.split('\n').filter((line) => line.endsWith('-'))
  t.equal(lines.length, 5)
  t.equal(new Set(lines).size, 1)
  const early = await readClock(first)
  await lab.must('pause', 'two')
  t.equal((await lab.row('two'))?.[4], '--p---')
  await lab.must('unpause', 'two')
  t.ok(keepsTime(early, await readClock(first)), 'time goes on while a guest is paused')

  first.type('reboot -f\n')
  t.equal((await first.ended).status, 0)
  await until('it has a new number', async () => (await lab.xt('domname', '2')).stdout === 'two\n')
  await lab.gone(1)
  const second = lab.console('two')
  await second.sees(SHELL)
  t.equal(await second.ask('nproc'), '2')
  t.match(await lab.row('two'), ['two', '2', '256', '2'])
  second.type('poweroff -f\n')
  t.equal((await second.ended).status, 0)
  await lab.gone(2)
  t.same(await lab.leftovers(), [])
})

t.test('four vCPUs: all online; killed with SIGKILL, the next command clears up', { skip }, async (t) => {
  const lab = new GuestLab(t)
  await lab.must(...create({ name: 'four', vcpus: 4 }))
  const console = lab.console('four')
  await console.sees(SHELL)
  t.notMatch(console.output, /BUG:|WARNING:|Call Trace|rcu: INFO|soft lockup/)
  t.equal(await console.ask('nproc'), '4')
  t.match(await lab.row('four'), ['four', '1', '256', '4'])
  const { pid } = await lab.info('four')
  process.kill(pid, 'SIGKILL')
  t.equal((await console.ended).status, 0)
  t.ok(existsSync(join(lab.paths.runDir, 'domains', '1')), 'a killed process cleans nothing')
  t.equal(await lab.row('four'), undefined)
  t.same(await lab.leftovers(), [])
})

for (const [flavour, vcpus] of [
  ['generic', 1],
  ['cloud-6.12', 2],
] as const) {
  const reason = isCached(flavour)
    ? false
    : `not fetched: node scripts/assets/fetch-debian-kernel.ts ${flavour}`
  t.test(
    `Debian’s ${flavour} kernel boots and powers off with ${vcpus} vCPUs`,
    { skip: reason },
    async (t) => {
      const files = await filesOf(flavour)
      if (typeof files === 'string') throw new Error(files)
      const lab = new GuestLab(t)
      const extra = `console=hvc0 ${runArgument('uname -r; nproc; cat /sys/hypervisor/type')}`
      const child = lab.start(...debianArguments(files, { name: 'other', vcpus, extra }), '-F', '-c')
      const { status, stdout, stderr } = await finished(child)
      t.equal(status, 0)
      t.match(stderr, 'Domain 1 has shut down, reason code 0 0x0')
      for (const line of [files.release, `${vcpus}`, 'xen', 'xt: command ended with status 0']) {
        t.ok(stdout.split('\r\n').includes(line), line)
      }
      t.same(await lab.leftovers(), [])
    },
  )
}
