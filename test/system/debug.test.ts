/** `xt debug cpu` with a guest of two vCPUs, of which one works. */
import t from 'tap'
import { debianKernel } from '../../scripts/assets/fetch-debian-kernel.ts'
import { initramfs } from '../../scripts/assets/make-initramfs.ts'
import type { CpuReport } from '../../src/cli/cpu-report.ts'
import { debianArguments, GuestLab } from './guest.ts'

t.setTimeout(600_000)

const files = await debianKernel()
  .then(async ({ vmlinuz }) => ({ vmlinuz, ramdisk: await initramfs() }))
  .catch((error: Error) => error.message)

const share = (report: CpuReport, vcpu: number, ...parts: readonly string[]) =>
  parts.reduce((sum, part) => sum + (report.vcpus[vcpu]?.parts[part] ?? 0), 0)

t.test(
  'xt debug cpu tells what works from what waits',
  { skip: typeof files === 'string' && files },
  async (t) => {
    if (typeof files === 'string') return
    const lab = new GuestLab(t)
    await lab.must(...debianArguments(files, { name: 'busy', vcpus: 2 }))
    const console = lab.console('busy')
    await console.sees(/Root shell on hvc0\./)
    await console.ask('(taskset -c 1 sh -c "while :; do :; done" &)')
    const report = JSON.parse(await lab.must('debug', 'cpu', 'busy', '--json', '-s', '1')) as CpuReport
    t.equal(report.vcpus.length, 2)
    for (const { parts } of report.vcpus) {
      const sum = Object.values(parts).reduce((a, b) => a + b, 0)
      t.ok(Math.abs(sum - 1) < 1e-6, 'the parts are the whole')
    }
    t.ok(share(report, 1, 'interpreter', 'regions', 'handlers') > 0.2, JSON.stringify(report.vcpus[1]?.parts))
    t.ok(share(report, 0, 'waiting') > share(report, 1, 'waiting'))
    const { decodes, walks } = report.vcpus[1]!.counters
    t.ok(decodes!.total > 10_000)
    t.ok(walks!.total > 1000)
    t.match(
      await lab.must('debug', 'cpu', 'busy', '-f'),
      /^vCPU 0, .*\n[\s\S]*\nvCPU 1, [\s\S]* run \(interpreter-/,
    )

    await lab.must('pause', 'busy')
    t.match(await lab.must('debug', 'cpu', 'busy', '-s', '1'), 'not running')
    await lab.must('unpause', 'busy')
    t.notMatch(await lab.must('debug', 'cpu', 'busy', '-s', '1'), 'not running')
    t.match(await console.ask('nproc'), '2')
  },
)
