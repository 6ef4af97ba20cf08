/** The daily verbs against Debian's own kernel: what each does shows inside the guest. */
import t from 'tap'
import { debianKernel } from '../../scripts/assets/fetch-debian-kernel.ts'
import { initramfs } from '../../scripts/assets/make-initramfs.ts'
import { debianArguments, GuestLab, isCached, until } from './guest.ts'

t.setTimeout(1_200_000)

const SHELL = /Root shell on hvc0\./
const skip = isCached('cloud') ? false : 'not fetched: node scripts/assets/fetch-debian-kernel.ts cloud'

t.test(
  'vcpu-set, mem-set, sysrq, uptime, rename, pause and shutdown act in the guest',
  { skip },
  async (t) => {
    const lab = new GuestLab(t)
    const files = { ...(await debianKernel({ flavour: 'cloud' })), ramdisk: await initramfs() }
    const settings = {
      name: 'verbs',
      memory: 192,
      maxmem: 256,
      vcpus: 1,
      maxvcpus: 2,
      on_poweroff: 'preserve',
      cpuid: 'host,popcnt=0',
      rtc_timeoffset: 86_400,
      max_event_channels: 64,
    }
    await lab.must(...debianArguments(files, settings))
    const console = lab.console('verbs')
    await console.sees(SHELL)
    // CPUs that come and go are told of in the middle of answers.
    await console.ask('dmesg -n 1')
    const online = () => console.ask('cat /sys/devices/system/cpu/online')
    const vcpus = async () =>
      (await lab.must('vcpu-list', 'verbs'))
        .split('\n')
        .slice(1, 3)
        .map((line) => line.trim().split(/\s+/).slice(2, 5).join(' '))

    t.equal(await online(), '0')
    const flags = (await console.ask("grep -m1 '^flags' /proc/cpuinfo")).split(' ')
    t.ok(flags.includes('cx16'))
    t.notOk(flags.includes('popcnt'), 'cpuid hides a feature')
    const ahead = Number(await console.ask('date +%s')) - Date.now() / 1000
    t.ok(ahead > 86_000 && ahead < 87_000, `rtc_timeoffset sets the clock: ${ahead} s ahead`)
    t.match((await vcpus())[1], '1 - --p')
    await lab.must('vcpu-set', '-i', 'verbs', '2')
    // As on Xen, user space switches a CPU on once it is there: the demo's init does.
    await until('the second CPU is online', async () => (await online()) === '0-1')
    t.match((await vcpus())[1], /^1 \d+ [-r][-b]-$/)
    t.equal((await lab.row('verbs'))?.[3], '2')
    await lab.must('vcpu-set', 'verbs', '1')
    await until('the second CPU is offline', async () => (await online()) === '0')
    await until('its vCPU is down', async () => (await vcpus())[1] === '1 - --p')

    const total = async () => Number(await console.ask("awk '/MemTotal/ { print $2 }' /proc/meminfo"))
    const listed = async () => Number((await lab.row('verbs'))?.[2])
    await until('the balloon is at its first target', async () => (await listed()) === 192)
    const before = await total()
    await lab.must('mem-set', 'verbs', '160')
    await until('the balloon gave 32 MiB back', async () => (await listed()) === 160)
    t.equal(before - (await total()), 32 * 1024)
    await lab.must('mem-set', 'verbs', '256m')
    await until('the balloon took them again', async () => (await listed()) === 256)
    t.equal((await total()) - before, 64 * 1024)
    t.match(await lab.xt('mem-set', 'verbs', '300'), { status: 1, stderr: /static maximum is 262144 KiB/ })

    const from = console.output.length
    await lab.must('sysrq', 'verbs', 'h')
    await console.sees(/sysrq: HELP :/, from)

    t.match(await lab.must('uptime', 'verbs'), /^Name {32}ID Uptime\nverbs {32}1 {2}\d:\d\d:\d\d\n$/)
    await lab.must('rename', 'verbs', 'lift')
    t.equal(await lab.must('domname', '1'), 'lift\n')
    await lab.must('pause', 'lift')
    t.equal((await lab.row('lift'))?.[4], '--p---')
    await lab.must('unpause', 'lift')
    t.equal(await console.ask('echo awake'), 'awake')

    const { status, stderr } = await lab.xt('shutdown', '-w', 'lift')
    t.equal(status, 0)
    t.match(stderr, 'Domain 1 has been shut down, reason code 0')
    t.equal((await lab.row('lift'))?.[4], '---s--')
    await lab.must('destroy', 'lift')
    t.same(await lab.leftovers(), [])
  },
)
