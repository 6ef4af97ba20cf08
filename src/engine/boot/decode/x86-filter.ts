/**
 * Undoes the x86 branch filter of .xz ("BCJ", format 1.2 section 5.3.2; behaviour as in xz-embedded): the encoder
 * replaced the relative targets of CALL (E8) and JMP (E9) by absolute ones, which repeat and therefore pack better.
 *
 * The encoder leaves alone what does not look like a branch: targets whose top byte is neither 00 nor FF, and
 * opcodes that stand among the operand bytes of a recent one, remembered as one bit for each of the last three bytes.
 */

/** Operand byte to look at for each pattern of recent opcodes, and the patterns that forbid a conversion. */
const MASK_TO_BYTE = [0, 1, 2, 2, 3, 3, 3, 3] as const
const FORBIDDEN_MASKS = 0b11101000

const isSignByte = (byte: number): boolean => byte === 0 || byte === 0xff

/** Works in place on a whole block (its first byte is position 0). */
export function unfilterX86(block: Uint8Array): void {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength)
  let lastOpcode = -1
  let mask = 0
  for (let at = 0; at + 5 <= block.length; at++) {
    if ((block[at]! & 0xfe) !== 0xe8) continue
    const gap = at - lastOpcode
    lastOpcode = at
    mask = gap > 3 ? 0 : (mask << (gap - 1)) & 7
    const isDoubtful =
      mask !== 0 && ((FORBIDDEN_MASKS >> mask) & 1 || isSignByte(block[at + 4 - MASK_TO_BYTE[mask]!]!))
    if (isDoubtful || !isSignByte(block[at + 4]!)) {
      mask = (mask << 1) | 1
      continue
    }
    view.setInt32(at + 1, relativeTarget(view.getInt32(at + 1, true), at + 5, mask), true)
    at += 4
  }
}

/** Turns an absolute target back; repeated while the result, seen through the mask, could have been converted again. */
function relativeTarget(absolute: number, next: number, mask: number): number {
  const shift = 8 * MASK_TO_BYTE[mask]!
  let source = absolute
  for (;;) {
    const target = (source - next) | 0
    if (mask === 0 || !isSignByte((target >>> (24 - shift)) & 0xff)) {
      // 25 bits, sign-extended from bit 24.
      return (target << 7) >> 7
    }
    source = target ^ ((1 << (32 - shift)) - 1)
  }
}
