/**
 * FXSAVE64 images for the host oracle: builds one from the fields a test cares about, and reads those of a
 * result. Layout: Intel SDM volume 1, section 10.5.1 ("FXSAVE Area"), REX.W form.
 */

export interface FxFields {
  readonly fcw?: number
  /** Status word, TOP included. */
  readonly fsw?: number
  /** Abridged tag byte: bit i set = physical register i is in use. */
  readonly ftw?: number
  readonly fop?: number
  readonly fip?: bigint
  readonly fdp?: bigint
  readonly mxcsr?: number
  /** ST(0)... as 80-bit values. */
  readonly st?: readonly bigint[]
  /** XMM0... as 128-bit values. */
  readonly xmm?: readonly bigint[]
}

const MASK64 = (1n << 64n) - 1n

export function fxImage(fields: FxFields): Uint8Array {
  const bytes = new Uint8Array(512)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, fields.fcw ?? 0x37f, true)
  view.setUint16(2, fields.fsw ?? 0, true)
  view.setUint8(4, fields.ftw ?? 0)
  view.setUint16(6, fields.fop ?? 0, true)
  view.setBigUint64(8, fields.fip ?? 0n, true)
  view.setBigUint64(16, fields.fdp ?? 0n, true)
  view.setUint32(24, fields.mxcsr ?? 0x1f80, true)
  for (const [i, value] of (fields.st ?? []).entries()) {
    view.setBigUint64(32 + 16 * i, value & MASK64, true)
    view.setUint16(40 + 16 * i, Number(value >> 64n), true)
  }
  for (const [i, value] of (fields.xmm ?? []).entries()) {
    view.setBigUint64(160 + 16 * i, value & MASK64, true)
    view.setBigUint64(168 + 16 * i, value >> 64n, true)
  }
  return bytes
}

export function readFx(image: Uint8Array): Required<FxFields> {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength)
  const wide = (at: number, highBits: number): bigint =>
    view.getBigUint64(at, true) | (BigInt.asUintN(highBits, view.getBigUint64(at + 8, true)) << 64n)
  return {
    fcw: view.getUint16(0, true),
    fsw: view.getUint16(2, true),
    ftw: view.getUint8(4),
    fop: view.getUint16(6, true),
    fip: view.getBigUint64(8, true),
    fdp: view.getBigUint64(16, true),
    mxcsr: view.getUint32(24, true),
    st: Array.from({ length: 8 }, (_, i) => wide(32 + 16 * i, 16)),
    xmm: Array.from({ length: 16 }, (_, i) => wide(160 + 16 * i, 64)),
  }
}
