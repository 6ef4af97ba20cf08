/**
 * Permissions of nodes: a list of one letter and a domid each; the first entry names the owner and, with its
 * letter, what everybody who is not listed may do.
 */

/** n: nothing, r: read, w: write, b: both. */
export type Letter = 'n' | 'r' | 'w' | 'b'
export interface Perm {
  readonly letter: Letter
  readonly domid: number
}
/** Never empty. */
export type Perms = readonly [Perm, ...Perm[]]

/** Who asks. `target`: the domain on whose behalf this one may act (SET_TARGET). */
export interface Who {
  readonly domid: number
  readonly target?: number | undefined
}

export const MAY_READ = 1
export const MAY_WRITE = 2
export const MAY_CHANGE_PERMS = 4
const ALL = MAY_READ | MAY_WRITE | MAY_CHANGE_PERMS
const BITS: Record<Letter, number> = { n: 0, r: MAY_READ, w: MAY_WRITE, b: MAY_READ | MAY_WRITE }

export const isPrivileged = (who: Who): boolean => who.domid === 0

/** What `who` may do with a node: MAY_* bits. Owners and dom0 may do all. */
export function rights(who: Who, perms: Perms): number {
  const names = (perm: Perm) => perm.domid === who.domid || perm.domid === who.target
  if (isPrivileged(who) || names(perms[0])) return ALL
  for (let i = 1; i < perms.length; i++) if (names(perms[i]!)) return BITS[perms[i]!.letter]
  return BITS[perms[0].letter]
}

/** From the wire's form, e.g. ['n0', 'r5']; undefined if any entry is malformed or there is none. */
export function parsePerms(words: readonly string[]): Perms | undefined {
  const perms: Perm[] = []
  for (const word of words) {
    // GUEST: five digits at most, and no more than a domid_t holds.
    const match = /^([nrwb])(\d{1,5})$/.exec(word)
    if (match === null || Number(match[2]) > 0xffff) return undefined
    perms.push({ letter: match[1] as Letter, domid: Number(match[2]) })
  }
  const [owner, ...others] = perms
  return owner === undefined ? undefined : [owner, ...others]
}

export const formatPerms = (perms: Perms): string[] => perms.map((perm) => `${perm.letter}${perm.domid}`)

/** What a new node gets: its parent's list; unprivileged domains own what they create. */
export function inheritedPerms(who: Who, parent: Perms): Perms {
  if (isPrivileged(who)) return parent
  const [owner, ...others] = parent
  return [{ letter: owner.letter, domid: who.domid }, ...others]
}
