/**
 * MXCSR and the FXSAVE64 image in WebAssembly: what a kernel moves at each switch of tasks (SDM vol. 1, 10.5). All
 * else, 32-bit images among it: fp/assists.ts and fp/x87-images.ts.
 */
import { BUSY, ES, FP_STATE, MXCSR_MASK } from '../fp/state.ts'
import type { Val } from '../read/vocabulary.ts'
import { STATE, TLB_ENTRIES, TLB_ENTRY } from '../state.ts'
import { type Expr, i32, i64, load32, load64 } from '../wasm/encoder.ts'
import { add32, and, and32, gtU32, ne, or32, select, shl32, shr32, wrap, xor32 } from '../wasm/operators.ts'
import type { Native } from './native.ts'

/** Places of the x87 and SSE state in the state block. */
const FP = Object.fromEntries(
  Object.entries(FP_STATE).map(([name, offset]) => [name, STATE.fp + offset]),
) as Record<keyof typeof FP_STATE, number>
/** The image of FXSAVE64 and FXRSTOR64: where its registers are, and what of it is as in the state block. */
const IMAGE_ST = 32
const IMAGE_XMM = 160
const XMM_BYTES = 256
const IMAGE_BYTES = IMAGE_XMM + XMM_BYTES
const IMAGE_WORDS = [
  [FP.fcw, 0, 2],
  [FP.fsw, 2, 2],
  [FP.ftw, 4, 1],
  [FP.fop, 6, 2],
  [FP.fip, 8, 8],
  [FP.fdp, 16, 8],
  [FP.mxcsr, 24, 4],
] as const

/** Host address of the image: aligned, within a page of memory; the units are there. */
function openImage(s: Native, tag: typeof TLB_ENTRY.readTag | typeof TLB_ENTRY.writeTag): Expr {
  const { f } = s
  s.giveUpIf(or32(s.half('sseFault'), s.half('mmxFault')))
  const address = f.keep(s.word('tmpAddress'))
  s.giveUpIf(and32(wrap(address), i32(15)))
  s.giveUpIf(gtU32(and32(wrap(address), i32(4095)), i32(4096 - IMAGE_BYTES)))
  // The first byte brings the page into the TLB, or faults as the whole would.
  if (tag === TLB_ENTRY.readTag) s.emit.openLoad(address, 1)
  else s.emit.openStore(address, 1, false)
  const index = and32(
    shr32(wrap(address), i32(12 - Math.log2(TLB_ENTRY.size))),
    i32((TLB_ENTRIES - 1) * TLB_ENTRY.size),
  )
  const entry = f.keep(add32(s.half('tlb'), index))
  s.giveUpIf(ne(load64(8, entry, tag), and(address, i64(-4096))))
  return f.keep(add32(wrap(address), load32(4, entry, TLB_ENTRY.addend)))
}
/** ST(0) to ST(7), by the TOP that FSW has now. */
function eachRegister(s: Native, visit: (register: Expr, n: number) => void): void {
  const { f, state } = s
  const top = f.keep(shr32(load32(2, state, FP.fsw), i32(11)))
  for (let n = 0; n < 8; n++) {
    const physical = and32(add32(top, i32(n)), i32(7))
    visit(f.keep(add32(add32(state, i32(FP.st)), shl32(physical, i32(4)))), n)
  }
}

export const floatNatives: Readonly<Record<string, (s: Native) => void>> = {
  LDMXCSR: (s) => {
    s.giveUpIf(s.half('sseFault'))
    const value = s.f.keep(wrap(s.load(s.word('tmpAddress'), 4)))
    s.giveUpIf(and32(value, i32(~MXCSR_MASK)))
    s.f.store32(4, s.state, value, FP.mxcsr)
    s.done()
  },
  STMXCSR: (s) => {
    s.giveUpIf(s.half('sseFault'))
    const value = load64(4, s.state, FP.mxcsr) as unknown as Val
    s.emit.store(32, s.word('tmpAddress') as unknown as Val, value)
    s.done()
  },
  FXSAVE64: (s) => {
    const { f, state } = s
    const image = openImage(s, TLB_ENTRY.writeTag)
    for (const [from, to, size] of IMAGE_WORDS) f.store64(size, image, load64(size, state, from), to)
    f.store32(1, image, i32(0), 5)
    f.store32(4, image, i32(MXCSR_MASK), 28)
    eachRegister(s, (register, n) => {
      f.store64(8, image, load64(8, register), IMAGE_ST + 16 * n)
      f.store64(8, image, load64(2, register, 8), IMAGE_ST + 8 + 16 * n)
    })
    f.copy(add32(image, i32(IMAGE_XMM)), add32(state, i32(FP.xmm)), i32(XMM_BYTES))
    s.done()
  },
  FXRSTOR64: (s) => {
    const { f, state } = s
    const image = openImage(s, TLB_ENTRY.readTag)
    s.giveUpIf(and32(load32(4, image, 24), i32(~MXCSR_MASK)))
    for (const [to, from, size] of IMAGE_WORDS) f.store64(size, state, load64(size, image, from), to)
    f.store32(2, state, and32(load32(2, state, FP.fop), i32(0x7ff)), FP.fop)
    // As writableFcw of x87-control.ts.
    const control = f.keep(or32(and32(load32(2, image), i32(0x1f3f)), i32(0x40)))
    f.store32(2, state, control, FP.fcw)
    for (const selector of [FP.fcs, FP.fds]) f.store32(2, state, i32(0), selector)
    eachRegister(s, (register, n) => {
      f.store64(8, register, load64(8, image, IMAGE_ST + 16 * n))
      f.store64(2, register, load64(2, image, IMAGE_ST + 8 + 16 * n), 8)
    })
    f.copy(add32(state, i32(FP.xmm)), add32(image, i32(IMAGE_XMM)), i32(XMM_BYTES))
    const status = f.keep(and32(load32(2, image, 2), i32(~(ES | BUSY) & 0xffff)))
    const pending = and32(and32(status, xor32(control, i32(-1))), i32(0x3f))
    f.store32(2, state, or32(status, select(pending, i32(ES | BUSY), i32(0))), FP.fsw)
    s.done()
  },
}
