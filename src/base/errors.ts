/**
 * XtError and the way to declare the errors a user can meet.
 *
 * Errors are data: each layer declares its own catalogue with `defineErrors`, the reference page
 * (docs/errors.md) is generated from all of them. Codes are never renamed. A message says what is wrong
 * and where; the hint says what to do. Guest mistakes are never XtErrors: they get Xen's own answers.
 */

/** One row of a catalogue. `exit` is the exit status of a command that ends with this error. */
export interface ErrorRow<Args extends readonly unknown[]> {
  readonly title: string
  readonly message: (...args: Args) => string
  readonly hint?: string | ((...args: Args) => string)
  /** xl answers nearly every failure with 1. */
  readonly exit?: number
}

/** Where an error comes from when it left a plugin's code. */
export interface Blame {
  readonly plugin: string
  /** The lifecycle call, e.g. `attach`. */
  readonly call: string
  /** The device the call was for, e.g. `xvda`. */
  readonly device?: string
}

export class XtError extends Error {
  readonly code: string
  readonly hint: string | undefined
  readonly exit: number
  readonly blame: Blame | undefined

  constructor(
    code: string,
    message: string,
    options: { hint?: string | undefined; exit?: number | undefined; blame?: Blame; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'XtError'
    this.code = code
    this.hint = options.hint
    this.exit = options.exit ?? 1
    this.blame = options.blame
  }
}

// biome-ignore lint/suspicious/noExplicitAny: a catalogue holds rows of many argument lists
type Rows = Record<`XT_${string}`, ErrorRow<any>>

export type ErrorMakers<R extends Rows> = {
  readonly [Code in keyof R & `XT_${string}`]: (...args: Parameters<R[Code]['message']>) => XtError
} & { readonly rows: R }

/** Turns a catalogue into functions that make its errors: `errors.XT_NO_SUCH_DOMAIN(name)`. */
export function defineErrors<const R extends Rows>(rows: R): ErrorMakers<R> {
  const makers: Record<string, unknown> = { rows }
  for (const [code, row] of Object.entries(rows)) {
    makers[code] = (...args: unknown[]) => {
      const hint = typeof row.hint === 'function' ? row.hint(...args) : row.hint
      return new XtError(code, row.message(...args), { hint, exit: row.exit })
    }
  }
  return makers as ErrorMakers<R>
}
