/** Every builtin backend keeps the contract. */
import t from 'tap'
import { backendContract } from '../../src/testkit/index.ts'
import { BACKENDS } from './backends/index.ts'

t.setTimeout(300_000)

for (const [type, make] of Object.entries(BACKENDS)) t.test(type, async (t) => backendContract(t, make))
