import t from 'tap'
import { i32, ModuleWriter } from '../../../../src/plugins/cpu-software/wasm/encoder.ts'
import { named } from '../../../../src/plugins/cpu-software/wasm/name-section.ts'

t.test('a named module does what it did, and its functions are named where they trap', async (t) => {
  const m = new ModuleWriter()
  const inner = m.function([], ['i32'], (f) => f.unreachable())
  m.export(
    'outer',
    m.function([], ['i32'], (f) => f.return(f.call(inner, 'i32'))),
  )
  m.export(
    'fine',
    m.function([], ['i32'], (f) => f.return(i32(7))),
  )
  const bytes = named(m.finish(), 'tried', new Map([[inner, 'ADD r64, r/m64 64']]))
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true })
  const instance = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(bytes)), {
    env: { memory },
  })
  const { outer, fine } = instance.exports as Record<'outer' | 'fine', () => number>
  t.equal(fine(), 7)
  try {
    outer()
    t.fail('it traps')
  } catch (error) {
    const { stack } = error as Error
    t.match(stack, 'ADD r64, r/m64 64')
    t.match(stack, 'outer')
    t.match(stack, 'wasm://wasm/tried-')
  }
})
