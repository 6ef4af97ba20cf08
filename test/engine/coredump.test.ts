import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { MachineMemory, planMachine } from '../../src/base/machine-memory.ts'
import { coreHeader, dumpCore, RAM_OFFSET } from '../../src/engine/coredump.ts'

const RAM = 4 * 1024 * 1024

t.test('a dump holds RAM at its guest-physical addresses behind an ELF core header', async (t) => {
  const memory = MachineMemory.create(planMachine(RAM, 1)!)
  memory.write(0x1ffe, new Uint8Array([1, 2, 3, 4]))
  memory.write(RAM - 1, new Uint8Array([9]))
  const path = join(t.testdir(), 'core')
  dumpCore(memory, path)
  const file = readFileSync(path)
  t.same([...file.subarray(0, 4)], [0x7f, 0x45, 0x4c, 0x46])
  t.equal(file.length, RAM_OFFSET + RAM)
  t.same([...file.subarray(RAM_OFFSET + 0x1ffe, RAM_OFFSET + 0x2002)], [1, 2, 3, 4])
  t.equal(file.at(-1), 9)
})

t.test('memory that moved or is gone is dumped where the guest sees it', async (t) => {
  const memory = MachineMemory.create(planMachine(RAM, 1)!)
  memory.write(0x5000, new Uint8Array([7]))
  memory.setFrame(2, memory.frame(5))
  memory.setFrame(5, 0)
  const path = join(t.testdir(), 'core')
  dumpCore(memory, path)
  const file = readFileSync(path)
  t.equal(file[RAM_OFFSET + 0x2000], 7)
  t.equal(file[RAM_OFFSET + 0x5000], 0)
})

t.test('empty memory takes no room on disk', async (t) => {
  const path = join(t.testdir(), 'core')
  dumpCore(MachineMemory.create(planMachine(RAM, 1)!), path)
  t.ok(statSync(path).blocks * 512 < RAM / 8)
})

t.test('a directory that is not there is the system’s error', async (t) => {
  const memory = MachineMemory.create(planMachine(RAM, 1)!)
  t.throws(() => dumpCore(memory, '/nowhere/at/all/core'), { code: 'ENOENT' })
})

t.test('the header describes one segment of the size of RAM', async (t) => {
  const view = new DataView(coreHeader(RAM).buffer)
  t.equal(view.getUint16(16, true), 4)
  t.equal(view.getUint16(56, true), 1)
  t.equal(view.getBigUint64(64 + 8, true), BigInt(RAM_OFFSET))
  t.equal(view.getBigUint64(64 + 32, true), BigInt(RAM))
})
