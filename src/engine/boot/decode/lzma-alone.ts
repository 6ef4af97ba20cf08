/**
 * The old .lzma container ("LZMA_Alone"; 7-Zip's lzma-specification.txt): properties, dictionary size, unpacked
 * size or all ones, then one LZMA stream.
 */
import { LzmaDecoder } from './lzma.ts'
import { CorruptData, Output } from './output.ts'

const HEADER_BYTES = 13

/** @throws CorruptData, OutputLimit */
export function unlzma(input: Uint8Array, limit: number, expected: number): Uint8Array {
  if (input.length < HEADER_BYTES) throw new CorruptData('it ends within its header')
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength)
  const size = view.getBigUint64(5, true)
  const isUnknown = size === 0xffff_ffff_ffff_ffffn
  const out = new Output(limit, isUnknown ? expected : Number(size))
  const decoder = new LzmaDecoder(input, out)
  decoder.setProperties(input[0]!)
  decoder.resetState()
  decoder.startRange(HEADER_BYTES, input.length)
  const hitMarker = decoder.decode(isUnknown ? Number.POSITIVE_INFINITY : Number(size))
  if (hitMarker && !isUnknown) throw new CorruptData('it ends before its stated size')
  return out.finish()
}
