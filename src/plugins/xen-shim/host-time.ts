/** The clock of trace records: one for all threads of the process, milliseconds since 1970. */
export const hostTimeMs = (): number => performance.timeOrigin + performance.now()
