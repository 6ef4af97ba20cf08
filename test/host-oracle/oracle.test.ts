import t from 'tap'
import { fxImage, readFx } from './fx-image.ts'
import type { HostCase, HostResult } from './oracle.ts'
import { COMPLETED, GPR, hostOracle, MEMORY_ADDRESS, MEMORY_BYTES, TIMED_OUT } from './oracle.ts'

const oracle = hostOracle()
const skip = oracle.kind === 'missing' ? oracle.reason : false
const runOnHost = oracle.kind === 'ready' ? oracle.runOnHost : () => []
const run = (one: HostCase): HostResult => runOnHost([one])[0]!
const code = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes)

t.test('adc rax, rcx adds with carry and reports the flags', { skip }, async (t) => {
  const r = run({ code: code(0x48, 0x11, 0xc8), gpr: [0xffff_ffff_ffff_ffffn, 0n], rflags: 0x203n })
  t.equal(r.vector, COMPLETED)
  t.equal(r.ripOffset, 3)
  t.equal(r.gpr[GPR.rax], 0n)
  t.equal(r.rflags & 0x8d5n, 0x55n, 'CF PF AF ZF')
})

t.test('push through a case-chosen stack pointer writes only the memory below it', { skip }, async (t) => {
  const gpr = [0x1122_3344_5566_7788n, 0n, 0n, 0n, BigInt(MEMORY_ADDRESS + 16)]
  const r = run({ code: code(0x50), gpr, memory: { offset: 0, bytes: new Uint8Array(24).fill(0xaa) } })
  t.equal(r.gpr[GPR.rsp], BigInt(MEMORY_ADDRESS + 8))
  t.equal(Buffer.from(r.memory).toString('hex'), `${'aa'.repeat(8)}${'8877665544332211'}${'aa'.repeat(8)}`)
})

t.test('a store beyond the memory is a page fault with its address and error code', { skip }, async (t) => {
  const beyond = BigInt(MEMORY_ADDRESS + MEMORY_BYTES)
  const r = run({ code: code(0x48, 0x89, 0x03), gpr: [0n, 0n, 0n, beyond] })
  t.match({ ...r }, { vector: 14, errorCode: 6, cr2: beyond, ripOffset: 0 })
})

t.test('UD2, division by zero and a privileged HLT report vectors 6, 0 and 13', { skip }, async (t) => {
  t.equal(run({ code: code(0x0f, 0x0b) }).vector, 6)
  t.equal(run({ code: code(0x48, 0xf7, 0xf1), gpr: [1n] }).vector, 0)
  t.equal(run({ code: code(0xf4) }).vector, 13)
})

t.test('a jump backwards ends where it lands', { skip }, async (t) => {
  t.equal(run({ code: code(0xeb, 0xf0) }).ripOffset, -14)
})

t.test('an endless loop is given up and the next case still runs', { skip }, async (t) => {
  const [stuck, next] = runOnHost([{ code: code(0xeb, 0xfe) }, { code: code(0x90) }])
  t.equal(stuck?.vector, TIMED_OUT)
  t.equal(next?.vector, COMPLETED)
})

t.test('compatibility-mode code runs as 32-bit code: 40 is INC EAX, DAA exists', { skip }, async (t) => {
  const inc = run({ code: code(0x40), bits: 32, gpr: [0xffff_ffffn] })
  t.equal(inc.vector, COMPLETED)
  t.equal(inc.gpr[GPR.rax], 0n)
  const daa = run({ code: code(0x27), bits: 32, gpr: [0x9an] })
  t.equal(daa.gpr[GPR.rax], 0n)
  const store = run({
    code: code(0x89, 0x03),
    bits: 32,
    gpr: [7n, 0n, 0n, BigInt(MEMORY_ADDRESS)],
    memory: { offset: 0, bytes: new Uint8Array(4) },
  })
  t.equal(store.memory[0], 7)
})

t.test('x87 and SSE state go in and come out: FADDP and ADDPD', { skip }, async (t) => {
  const one = 0x3fff_8000_0000_0000_0000n
  const fx = fxImage({ fsw: 6 << 11, ftw: 0xc0, st: [one, one], xmm: [0x3ff0_0000_0000_0000n] })
  const faddp = readFx(run({ code: code(0xde, 0xc1), fx }).fx)
  t.equal(faddp.st[0], 0x4000_8000_0000_0000_0000n)
  t.equal(faddp.ftw, 0x80)
  const addpd = readFx(run({ code: code(0x66, 0x0f, 0x58, 0xc0), fx }).fx)
  t.equal(addpd.xmm[0], 0x4000_0000_0000_0000n)
})

t.test('an unmasked SSE division by zero is #XM with ZE set in MXCSR', { skip }, async (t) => {
  const fx = fxImage({ mxcsr: 0x1f80 & ~0x200, xmm: [0x3f80_0000n, 0n] })
  const r = run({ code: code(0xf3, 0x0f, 0x5e, 0xc1), fx })
  t.equal(r.vector, 19)
  t.equal(readFx(r.fx).mxcsr & 0x3f, 4)
})

t.test('ten thousand cases run in one call', { skip }, async (t) => {
  const cases = Array.from({ length: 10_000 }, (_, i) => ({
    code: code(0x48, 0x01, 0xc8),
    gpr: [BigInt(i), 1n],
  }))
  t.ok(runOnHost(cases).every((r, i) => r.gpr[GPR.rax] === BigInt(i) + 1n))
})
