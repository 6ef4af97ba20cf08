/** Every builtin backend keeps the contract. */
import t from 'tap'
import { backendContract } from '../../src/testkit/index.ts'
import { makeConsole } from './backends/console.ts'
import { makeVbd } from './backends/vbd.ts'

t.test('console', async (t) => backendContract(t, makeConsole))
t.test('vbd', async (t) => backendContract(t, makeVbd))
