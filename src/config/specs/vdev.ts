/**
 * Disk names and the numbers a guest sees for them (xen-vbd-interface(7)): `xvda`, `hdc1`, `d5p0`, `51712`.
 *
 * XEN: the short form `d5` is documented but refused by libxl; here it means `d5p0`.
 */

export interface Vdev {
  readonly number: number
  /** Absent for a name that is a plain number. */
  readonly disk?: number
  readonly partition?: number
}

const MOST_DISKS = 1 << 20

/** The number of a disk name, or undefined for a name that means nothing. The empty name is 0, as in libxl. */
export function vdevNumber(name: string): Vdev | undefined {
  if (name === '') return { number: 0 }
  if (/^[0-9]/.test(name)) return plainNumber(name)
  const direct = /^d(0|[1-9][0-9]{0,7})(?:p(0|[1-9][0-9]{0,3}))?$/.exec(name)
  if (direct !== null) return xenNumber(Number(direct[1]), Number(direct[2] ?? 0))
  const named = /^(xvd|hd|sd)([a-z]{1,5})([1-9][0-9]{0,3})?$/.exec(name)
  if (named === null) return undefined
  const disk = letters(named[2]!)
  const partition = Number(named[3] ?? 0)
  switch (named[1]) {
    case 'xvd':
      return xenNumber(disk, partition)
    case 'hd':
      if (disk > 3 || partition > 63) return undefined
      return { number: ((disk < 2 ? 3 : 22) << 8) | ((disk & 1) << 6) | partition, disk, partition }
    default:
      if (disk > 15 || partition > 15) return undefined
      return { number: (8 << 8) | (disk << 4) | partition, disk, partition }
  }
}

function xenNumber(disk: number, partition: number): Vdev | undefined {
  if (disk >= MOST_DISKS || partition > 255) return undefined
  const number =
    disk <= 15 && partition <= 15 ? (202 << 8) | (disk << 4) | partition : (1 << 28) | (disk << 8) | partition
  return { number, disk, partition }
}

/** a, b ... z, aa, ab: bijective base 26, from 0. */
function letters(text: string): number {
  let value = 0
  for (const letter of text) value = value * 26 + (letter.charCodeAt(0) - 96)
  return value - 1
}

/** As C's strtoul with base 0 reads it, up to 2^31-1. */
function plainNumber(text: string): Vdev | undefined {
  const octal = /^0[0-7]*$/.test(text)
  if (!octal && !/^(0[xX][0-9a-fA-F]+|[1-9][0-9]*)$/.test(text)) return undefined
  const number = octal ? Number.parseInt(text, 8) : Number(text)
  return number <= 0x7fffffff ? { number } : undefined
}
