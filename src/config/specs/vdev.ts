/**
 * Disk names and the numbers a guest sees for them (xen-vbd-interface(7)): `xvda`, `hdc1`, `d5p0`, `51712`.
 *
 * XEN: the short form `d5` is documented but refused by libxl, and so here; `hd` without a letter, which libxl
 * takes for a disk, is refused.
 */
import { numberPrefix } from '../xl/number.ts'

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
  const direct = readDirect(name)
  if (direct !== undefined) return direct
  const named = /^(xvd|hd|sd)([a-z]{1,5})(.*)$/s.exec(name)
  if (named === null) return plainNumber(name)
  const disk = letters(named[2]!)
  const partition = readPartition(named[3]!)
  if (partition === undefined) return undefined
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

/** `dDpP`, both with base 0. */
function readDirect(name: string): Vdev | undefined {
  if (!name.startsWith('d')) return undefined
  const disk = numberPrefix(name.slice(1), 0)
  const rest = name.slice(1 + disk.length)
  const partition = numberPrefix(rest.slice(1), 0)
  if (
    disk.length === 0 ||
    partition.length === 0 ||
    !rest.startsWith('p') ||
    rest.length !== 1 + partition.length
  ) {
    return undefined
  }
  if (disk.value < 0n || partition.value < 0n) return undefined
  return xenNumber(Number(disk.value), Number(partition.value))
}

/** Nothing is the whole disk, 0; a partition has no leading zero. */
function readPartition(text: string): number | undefined {
  if (text === '') return 0
  const { value, length } = numberPrefix(text, 10)
  if (text.startsWith('0') || length !== text.length || value < 0n || value > 255n) return undefined
  return Number(value)
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
  const { value, length } = numberPrefix(text, 0)
  if (length === 0 || length !== text.length || value < 0n || value > 0x7fffffffn) return undefined
  return { number: Number(value) }
}
