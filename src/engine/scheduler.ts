/** The host's scheduler gives all vCPUs fair shares, of equal weight and without a cap: what credit2 does unless told otherwise. */
export const SCHEDULER = { sched: 'credit2', weight: 256, cap: 0 } as const
