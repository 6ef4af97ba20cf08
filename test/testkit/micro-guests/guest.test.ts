/** The files that micro-guests are built into, and what the builder promises. */
import t from 'tap'
import { parseElfKernel } from '../../../src/engine/boot/elf.ts'
import { buildGuest, microGuest } from '../../../src/testkit/micro-guests/guest.ts'
import { buildHello } from '../../../src/testkit/micro-guests/hello.ts'
import { LOAD_ADDRESS } from '../../../src/testkit/micro-guests/layout.ts'
import { pvhElf } from '../../../src/testkit/micro-guests/pvh-elf.ts'
import { GUESTS } from '../../guests/list.ts'

t.test('a PVH file has the segment, its memory and the entry that it was given', (t) => {
  const bytes = Uint8Array.of(1, 2, 3)
  const kernel = parseElfKernel(pvhElf({ load: 0x400000, entry: 0x400002, bytes, memSize: 0x5000 }), 'test')
  t.match(kernel, { bits: 64, entry: 0x400002, start: 0x400000, end: 0x405000 })
  t.equal(kernel.segments.length, 1)
  t.same([...kernel.segments[0]!.data], [1, 2, 3])
  t.end()
})

t.test('every guest is a kernel that fits the memory it gets', (t) => {
  for (const guest of GUESTS) {
    const kernel = parseElfKernel(guest.build(), guest.name)
    t.equal(kernel.start, LOAD_ADDRESS, guest.name)
    t.ok(kernel.end < 16 << 20, guest.name)
  }
  t.equal(new Set(GUESTS.map((guest) => guest.name)).size, GUESTS.length, 'names are different')
  t.end()
})

t.test('a guest is the same bytes each time it is built', (t) => {
  const guest = microGuest('same', 'nothing happens', (g) => g.print('x').check('one', 'rax', 1))
  t.same(guest.build(), guest.build())
  t.same(buildHello(), buildHello())
  t.end()
})

t.test('a guest whose body names a label that is missing is refused when built', (t) => {
  t.throws(() => buildGuest((g) => g.jmp('nowhere')), /no label nowhere/)
  t.end()
})
