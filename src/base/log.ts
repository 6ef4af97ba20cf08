/** The log interface every part of xt writes to; where lines go is the host side's business. */

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface Log {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void
  info(message: string, fields?: Readonly<Record<string, unknown>>): void
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void
  error(message: string, fields?: Readonly<Record<string, unknown>>): void
  /** A log whose lines carry one more prefix, e.g. `vbd xvda`. */
  child(prefix: string): Log
}

/** A log over one function that takes finished lines; the prefixes are joined with ': '. */
export function createLog(write: (level: LogLevel, line: string) => void, prefix = ''): Log {
  const line = (level: LogLevel) => (message: string, fields?: Readonly<Record<string, unknown>>) => {
    const tail = fields === undefined ? '' : ` ${JSON.stringify(fields)}`
    write(level, `${prefix}${message}${tail}`)
  }
  return {
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    child: (more) => createLog(write, `${prefix}${more}: `),
  }
}
