/**
 * A domain as libxl sees it: the object that `xl -N create` prints, under libxl's own names.
 *
 * What a file does not say is absent. Numbers beyond 2^53 are bigints; a configuration that can run has none.
 */

export type LibxlValue = string | number | bigint | boolean | LibxlObject | readonly LibxlValue[]

export interface LibxlObject {
  [name: string]: LibxlValue | undefined
}
