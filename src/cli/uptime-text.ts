/** Times of `xt uptime`, as xl prints them. Pure. */

/** `0:02:15`, from one day on `1 day,  0:02:15`, `2 days, ...`; `short` leaves the seconds out. */
export function uptimeText(seconds: number, short = false): string {
  const days = Math.floor(seconds / 86400)
  const two = (n: number) => String(Math.floor(n)).padStart(2, '0')
  const hours = String(Math.floor((seconds % 86400) / 3600)).padStart(2)
  const clock = `${hours}:${two((seconds % 3600) / 60)}${short ? '' : `:${two(seconds % 60)}`}`
  return days === 0 ? clock : `${days} day${days === 1 ? '' : 's'}, ${clock}`
}

/** The time of day, `14:05:09`. */
export const clockText = (date: Date): string =>
  [date.getHours(), date.getMinutes(), date.getSeconds()].map((n) => String(n).padStart(2, '0')).join(':')
