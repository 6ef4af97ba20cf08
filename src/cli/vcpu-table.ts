/** The table of `xt vcpu-list`, byte for byte as xl prints it. Pure. */

export interface VcpuRow {
  readonly name: string
  readonly domid: number
  readonly vcpu: number
  /** Host CPU on which it ran last; absent while it is offline. */
  readonly cpu?: number
  readonly online: boolean
  readonly running: boolean
  readonly blocked: boolean
  readonly cpuSeconds: number
}

const HEADER = 'Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)'

/** The table with its header, each line ended by a newline. */
export const vcpuTable = (rows: readonly VcpuRow[]): string =>
  [HEADER, ...rows.map(line)].map((text) => `${text}\n`).join('')

function line(row: VcpuRow): string {
  const cell = (value: number | string, width: number) => String(value).padStart(width)
  const state = `${row.running ? 'r' : '-'}${row.blocked ? 'b' : '-'}${row.online ? '-' : 'p'}`
  return [
    row.name.padEnd(32),
    cell(row.domid, 5),
    cell(row.vcpu, 5) + cell(row.cpu ?? '-', 5),
    cell(state, 5),
    cell(row.cpuSeconds.toFixed(1), 9),
    // vCPU threads are pinned nowhere.
    ' all / all',
  ].join(' ')
}
