/** A guest that prints 100 MB while nobody is attached: it comes to its end, and the host keeps only the last of it. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { at, label, mem } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { buildGuest } from '../../src/testkit/micro-guests/guest.ts'
import { xencons_interface } from '../../src/xen/abi/io/console.ts'
import { GuestLab, until } from './guest.ts'

t.setTimeout(600_000)

/** One ring of output, as often as it takes. */
const RING_BYTES = 2048
const RINGS = Math.ceil(100e6 / RING_BYTES)
const LINE = `${'0123456789abcdef'.repeat(4).slice(2)}\r\n`
const MEBIBYTE = 1 << 20

/** Waits for a key, fills the ring whenever it is empty, says so, waits for another key and powers off. */
const flood = buildGuest((g) => {
  const prod = mem({ base: 'rbx', disp: xencons_interface.offsetof('out_prod'), size: 32 })
  g.call('getc')
    .emit('MOV', 'rbx', at('console'))
    .emit('MOV', 'r14d', RINGS)
    .label('again')
    .emit('MOV', 'eax', prod)
    .emit('CMP', 'eax', mem({ base: 'rbx', disp: xencons_interface.offsetof('out_cons') }))
    .jcc('E', 'fill')
    .call('yield')
    .jmp('again')
  g.label('fill')
    .emit('LEA', 'rsi', at('lines'))
    .emit('LEA', 'rdi', mem({ base: 'rbx', disp: xencons_interface.offsetof('out') }))
    .emit('MOV', 'ecx', RING_BYTES / 8)
    .string('MOVS', 64, 'REP')
    .emit('ADD', prod, RING_BYTES)
    .call('flush')
    .emit('DEC', 'r14d')
    .jcc('NZ', 'again')
  g.print('that was all\r\n').call('getc').emit('JMP', label('power_off'))
  g.label('lines').ascii(LINE.repeat(RING_BYTES / LINE.length))
})

/** Memory of a process that is its own, neither file nor shared, in bytes. */
const ownMemory = (pid: number): number =>
  Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024

t.test('100 MB printed with nobody attached hold nobody up and take no memory', async (t) => {
  const lab = new GuestLab(t)
  const kernel = join(lab.home, 'flood.elf')
  const cfg = join(lab.home, 'flood.cfg')
  writeFileSync(kernel, flood)
  writeFileSync(cfg, `name="flood"\ntype="pvh"\nmemory=16\nkernel="${kernel}"\n`)
  await lab.must('create', '-q', cfg)
  const { pid } = await lab.info('flood')
  const first = lab.console('flood')
  first.type('x')
  await first.sees(/0123456789/)
  await first.leave()
  const before = ownMemory(pid)
  const waiting = async () => {
    const { vcpus } = await lab.info('flood')
    return vcpus[0]?.state === 'blocked'
  }
  await until('the guest has printed everything', waiting)
  const grown = ownMemory(pid) - before
  // Compiled code and what the garbage collector has not looked at yet; kept output would be 95 MiB on top.
  t.ok(grown < 80 * MEBIBYTE, `the domain process grew by ${Math.round(grown / MEBIBYTE)} MiB`)

  const second = lab.console('flood')
  await second.sees(/that was all\r\n$/)
  const [, dropped] = /^\r\n\[xt: (\d+) bytes of output are no longer kept\]\r\n/.exec(second.output) ?? []
  const kept = second.output.length - second.output.indexOf(']\r\n') - 3
  t.equal(
    Number(dropped) + kept,
    RINGS * RING_BYTES + 'that was all\r\n'.length,
    'every byte is accounted for',
  )
  t.equal(second.output.slice(-14 - 2 * LINE.length, -14), LINE.repeat(2))
  second.type('x')
  t.equal((await second.ended).status, 0)
  await lab.gone(1)
})
