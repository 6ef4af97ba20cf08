/** The backends that keep the contract (contract.test.ts) and are fuzzed (`npm run fuzz`), by device type. */
import type { MakeBackend } from '../../../src/testkit/index.ts'
import { make9pfs } from './9pfs.ts'
import { makeConsole } from './console.ts'
import { makeVbd } from './vbd.ts'
import { makeVif } from './vif.ts'

export const BACKENDS: Readonly<Record<string, MakeBackend<never>>> = {
  '9pfs': make9pfs as MakeBackend<never>,
  console: makeConsole as MakeBackend<never>,
  vbd: makeVbd as MakeBackend<never>,
  vif: makeVif as MakeBackend<never>,
}
