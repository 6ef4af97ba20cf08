/**
 * Limits for unprivileged domains: names and defaults of the C xenstored (GET_QUOTA, SET_QUOTA, and the
 * `quota` commands of CONTROL). 0 switches a limit off. Domain 0 has none but the size of a value, which
 * oxenstored holds against it as well.
 */

/** Order and texts as `xenstore-control quota` prints them. */
export const QUOTAS = {
  nodes: { value: 1000, text: 'Nodes per domain' },
  watches: { value: 128, text: 'Watches per domain' },
  outstanding: { value: 20, text: 'Outstanding requests per domain' },
  memory: { value: 2560 * 1024, text: 'Total Xenstore memory per domain' },
  transactions: { value: 10, text: 'Active transactions per domain' },
  'transaction-nodes': { value: 1024, text: 'Max. number of accessed nodes per transaction' },
  'node-permissions': { value: 5, text: 'Max. number of permissions per node' },
  'path-max': { value: 2048, text: 'Max. length of a node path' },
  'node-size': { value: 2048, text: 'Max. size of a node' },
} as const

export type QuotaName = keyof typeof QUOTAS
export const QUOTA_NAMES = Object.keys(QUOTAS) as QuotaName[]
export type Limits = Record<QuotaName, number>

export const isQuotaName = (name: string): name is QuotaName => Object.hasOwn(QUOTAS, name)

export const defaultLimits = (): Limits =>
  Object.fromEntries(QUOTA_NAMES.map((name) => [name, QUOTAS[name].value])) as Limits

/** What of the limits for new domains holds for domain 0. */
export const dom0Limits = (limits: Readonly<Limits>): Limits => ({
  ...(Object.fromEntries(QUOTA_NAMES.map((name) => [name, 0])) as Limits),
  'node-size': limits['node-size'],
})

/** True if `amount` is more than the limit allows. */
export const exceeds = (limits: Readonly<Limits>, name: QuotaName, amount: number): boolean =>
  limits[name] > 0 && amount > limits[name]
