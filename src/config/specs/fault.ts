/** What the parsers of xl's little languages (disk, vif, pci ... specs) answer, and the pieces they share. */

/** Why a spec is refused, or what is doubtful in it. */
export interface SpecFault {
  readonly message: string
  /** The piece that is the matter, and where it starts in the spec. */
  readonly near: string
  readonly at: number
  readonly hint?: string
}

export interface SpecResult<T> {
  /** Absent if the spec is refused. */
  readonly value?: T
  readonly faults: readonly SpecFault[]
  /** Accepted by xl, but probably not what was meant. */
  readonly warnings: readonly SpecFault[]
}

export function refuse<T>(...faults: readonly SpecFault[]): SpecResult<T> {
  return { faults, warnings: [] }
}

export function accept<T>(value: T, warnings: readonly SpecFault[] = []): SpecResult<T> {
  return { value, faults: [], warnings }
}
