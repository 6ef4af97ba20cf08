/** The table of `xt list`, byte for byte as xl prints it: scripts cut it at columns and tabs. Pure. */

export interface ListRow {
  readonly name: string
  readonly domid: number
  readonly memoryMiB: number
  readonly vcpus: number
  /** Six letters, see vm-state.ts. */
  readonly state: string
  readonly cpuSeconds: number
  readonly uuid: string
  /** Once the guest has shut down. */
  readonly shutdownReason?: number
}

export interface ListColumns {
  /** -v: uuid, reason, label. */
  readonly verbose?: boolean
  /** -Z: label. */
  readonly context?: boolean
  /** -c: pool. */
  readonly cpupool?: boolean
  /** -n: affinity to NUMA nodes. */
  readonly numa?: boolean
}

/** The table with its header, each line ended by a newline. */
export function listTable(rows: readonly ListRow[], columns: ListColumns = {}): string {
  return [header(columns), ...rows.map((row) => line(row, columns))].map((text) => `${text}\n`).join('')
}

function header(columns: ListColumns): string {
  let text = 'Name                                        ID   Mem VCPUs\tState\tTime(s)'
  if (columns.verbose) text += '   UUID                            Reason-Code\tSecurity Label'
  else if (columns.context) text += '   Security Label'
  if (columns.cpupool) text += '         Cpupool'
  if (columns.numa) text += ' NODE Affinity'
  return text
}

function line(row: ListRow, columns: ListColumns): string {
  const cell = (value: number | string, width: number) => String(value).padStart(width)
  let text = `${row.name.padEnd(40)} ${cell(row.domid, 5)} ${cell(Math.floor(row.memoryMiB), 5)} `
  text += `${cell(row.vcpus, 5)}     ${row.state}  ${cell(row.cpuSeconds.toFixed(1), 8)}`
  if (columns.verbose) {
    text += ` ${row.uuid} ${cell(row.shutdownReason === undefined ? '-' : row.shutdownReason.toString(16), 8)}`
  }
  // There are no labels here (no XSM) and one pool; xl prints these words on such a host.
  if (columns.verbose || columns.context) text += ` ${cell('-', 16)}`
  if (columns.cpupool) text += cell('Pool-0', 16)
  if (columns.numa) text += ' all'
  return text
}
