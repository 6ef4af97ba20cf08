/** Writes small ELF kernels for tests. */

export interface ElfFileInput {
  readonly bits?: 32 | 64
  readonly machine?: number
  readonly segments?: readonly {
    readonly paddr: number
    readonly data: Uint8Array
    readonly memSize?: number
  }[]
  /** Value of the PHYS32_ENTRY note; undefined for no note. */
  readonly entry?: number
  readonly entryBytes?: 4 | 8
  /** Where the notes are announced. */
  readonly notesIn?: 'segment' | 'section'
}

const note = (owner: string, type: number, desc: Uint8Array): Uint8Array => {
  const name = new TextEncoder().encode(`${owner}\0`)
  const up = (n: number) => Math.ceil(n / 4) * 4
  const out = new Uint8Array(12 + up(name.length) + up(desc.length))
  const view = new DataView(out.buffer)
  view.setUint32(0, name.length, true)
  view.setUint32(4, desc.length, true)
  view.setUint32(8, type, true)
  out.set(name, 12)
  out.set(desc, 12 + up(name.length))
  return out
}

function notes(input: ElfFileInput): Uint8Array {
  const parts = [
    note('GNU', 3, Uint8Array.of(1, 2, 3, 4, 5)),
    note('Xen', 6, new TextEncoder().encode('linux\0')),
  ]
  if (input.entry !== undefined) {
    const desc = new Uint8Array(input.entryBytes ?? 4)
    new DataView(desc.buffer).setUint32(0, input.entry, true)
    parts.push(note('Xen', 18, desc))
  }
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}

/** A kernel with one 4 KiB segment at 1 MiB and a PVH entry there, unless `input` says otherwise. */
export function elfFile(input: ElfFileInput = { entry: 0x100000 }): Uint8Array {
  const wide = (input.bits ?? 64) === 64
  const segments = input.segments ?? [{ paddr: 0x100000, data: new Uint8Array(4096).fill(0x90) }]
  const inSegment = (input.notesIn ?? 'segment') === 'segment'
  const [ehSize, phSize, shSize] = wide ? [64, 56, 64] : [52, 32, 40]
  const phCount = segments.length + (inSegment ? 1 : 0)
  const shCount = inSegment ? 0 : 1
  const noteBytes = notes(input)
  const noteAt = ehSize + phCount * phSize + shCount * shSize
  let end = noteAt + noteBytes.length
  const places = segments.map((segment) => {
    const at = end
    end += segment.data.length
    return at
  })
  const file = new Uint8Array(end)
  const view = new DataView(file.buffer)
  const word = (at: number, value: number) =>
    wide ? view.setBigUint64(at, BigInt(value), true) : view.setUint32(at, value, true)
  file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1])
  view.setUint16(16, 2, true)
  view.setUint16(18, input.machine ?? (wide ? 62 : 3), true)
  word(wide ? 32 : 28, ehSize)
  word(wide ? 40 : 32, shCount === 0 ? 0 : ehSize + phCount * phSize)
  view.setUint16(wide ? 54 : 42, phSize, true)
  view.setUint16(wide ? 56 : 44, phCount, true)
  view.setUint16(wide ? 58 : 46, shSize, true)
  view.setUint16(wide ? 60 : 48, shCount, true)
  const programHeader = (
    i: number,
    type: number,
    offset: number,
    paddr: number,
    fileSize: number,
    memSize: number,
  ) => {
    const at = ehSize + i * phSize
    view.setUint32(at, type, true)
    word(at + (wide ? 8 : 4), offset)
    word(at + (wide ? 24 : 12), paddr)
    word(at + (wide ? 32 : 16), fileSize)
    word(at + (wide ? 40 : 20), memSize)
  }
  segments.forEach((segment, i) => {
    programHeader(
      i,
      1,
      places[i]!,
      segment.paddr,
      segment.data.length,
      segment.memSize ?? segment.data.length,
    )
    file.set(segment.data, places[i]!)
  })
  if (inSegment) programHeader(segments.length, 4, noteAt, 0, noteBytes.length, noteBytes.length)
  else {
    const at = ehSize + phCount * phSize
    view.setUint32(at + 4, 7, true)
    word(at + (wide ? 24 : 16), noteAt)
    word(at + (wide ? 32 : 20), noteBytes.length)
  }
  file.set(noteBytes, noteAt)
  return file
}

/** A bzImage with one sector of setup code around a payload. */
export function bzImage(payload: Uint8Array, version = 0x20f): Uint8Array {
  const start = 2 * 512 + 0x40
  const file = new Uint8Array(start + payload.length)
  const view = new DataView(file.buffer)
  file[0x1f1] = 1
  file.set(new TextEncoder().encode('HdrS'), 0x202)
  view.setUint16(0x206, version, true)
  view.setUint32(0x248, 0x40, true)
  view.setUint32(0x24c, payload.length, true)
  file.set(payload, start)
  return file
}
