/**
 * Names of nodes: which are valid, what relative ones mean, where the parent is (docs/misc/xenstore.txt).
 * Absolute everywhere behind this file; the two special names stand for nodes of the root directory.
 */
import { ABS_PATH_MAX } from './wire.ts'

/** Watches on these are told about domains; their nodes carry the permissions for that. */
export const INTRODUCE_DOMAIN = '@introduceDomain'
export const RELEASE_DOMAIN = '@releaseDomain'

/** Where relative paths of a domain start. */
export const domainPath = (domid: number): string => `/local/domain/${domid}`

export const isSpecial = (name: string): boolean => name.startsWith('@')

/** Absolute form of a name that a domain used, or undefined if it is not valid (the wire's EINVAL). */
export function absolutePath(name: string, domid: number, relativeMax: number): string | undefined {
  // GUEST: charset, shape and length are judged before the name is used for anything.
  if (!/^[A-Za-z0-9\-/_@]+$/.test(name)) return undefined
  const path = name.startsWith('/') ? name : `${domainPath(domid)}/${name}`
  if (path !== '/' && (path.endsWith('/') || path.includes('//'))) return undefined
  if (path.length > ABS_PATH_MAX) return undefined
  const below = /^\/local\/domain\/\d{1,5}\//.exec(path)?.[0].length ?? 0
  if (relativeMax > 0 && path.length - below > relativeMax) return undefined
  return path
}

/** The node that carries the permissions of a special name, e.g. `/@releaseDomain`. */
export const specialNode = (name: string): string => `/${name}`

/** Parent of any path but '/'. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/')
  return slash <= 0 ? '/' : path.slice(0, slash)
}

export const childOf = (path: string, name: string): string => (path === '/' ? `/${name}` : `${path}/${name}`)

/** The names along a path; none for '/'. */
export const segments = (path: string): string[] => (path === '/' ? [] : path.slice(1).split('/'))

/** Levels that `path` lies below `top`: 0 if equal, -1 if it does not. */
export function levelsBelow(path: string, top: string): number {
  if (path === top) return 0
  const prefix = top === '/' ? '/' : `${top}/`
  return path.startsWith(prefix) ? path.slice(prefix.length).split('/').length : -1
}
