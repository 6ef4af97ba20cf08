import t from 'tap'
import { sortProfile } from '../../../src/plugins/cpu-software/profile.ts'

const node = (functionName: string, url: string, hitCount: number) => ({
  id: 0,
  hitCount,
  callFrame: { functionName, url, scriptId: '0', lineNumber: 0, columnNumber: 0 },
})

t.test('samples are sorted by the parts of the CPU, in source and as built', async (t) => {
  const { parts } = sortProfile([
    node('run', 'wasm://wasm/interpreter-00c0ffee', 40),
    node('translate', 'wasm://wasm/interpreter-00c0ffee', 5),
    node('ADD 64', 'wasm://wasm/handlers-00c0ffee', 5),
    node('wasm-function[3]', 'wasm://wasm/0badcafe', 20),
    node('RDTSC', 'file:///xt/src/plugins/cpu-software/system/control.ts', 5),
    node('RDTSC', 'file:///xt/dist/plugins/cpu-software/system/control.js', 5),
    node('#rest', 'file:///xt/src/plugins/cpu-software/vcpu.ts', 10),
    node('#expire', 'file:///xt/src/plugins/cpu-software/vcpu.ts', 4),
    node('send', 'file:///xt/src/xen/evtchn/ports.ts', 3),
    node('(garbage collector)', '', 2),
    node('(program)', '', 1),
  ])
  t.same(parts, {
    interpreter: 0.4,
    'memory unit': 0.05,
    handlers: 0.05,
    regions: 0.2,
    assists: 0.1,
    waiting: 0.1,
    'run loop': 0.04,
    Xen: 0.03,
    'garbage collection': 0.02,
    other: 0.01,
  })
})

t.test('a function is listed once, the one with most samples first', async (t) => {
  const { functions } = sortProfile([
    node('f', 'file:///xt/a.ts', 1),
    node('g', 'file:///xt/a.ts', 2),
    node('f', 'file:///xt/a.ts', 5),
    node('h', 'file:///xt/a.ts', 0),
  ])
  t.same(functions, [
    { name: 'f (a.ts)', part: 'other', share: 0.75 },
    { name: 'g (a.ts)', part: 'other', share: 0.25 },
  ])
})

t.test('nothing sampled, nothing said', async (t) => {
  t.same(sortProfile([]), { parts: {}, functions: [] })
})
