/**
 * How V8 is asked to compile our modules. Its flags are of the whole process: what another thread compiles while they are
 * set is compiled in the same way.
 */
import v8 from 'node:v8'

/** Code behind branches that are marked as unlikely goes out of the way of the rest (branch hinting proposal). */
v8.setFlagsFromString('--experimental-wasm-branch-hinting')

/** Until it is disposed of, modules are optimised as a whole at once; else V8 makes baseline code of a function when it is first called. */
export function optimising(): Disposable {
  v8.setFlagsFromString('--no-liftoff')
  v8.setFlagsFromString('--no-wasm-lazy-compilation')
  return {
    [Symbol.dispose]() {
      v8.setFlagsFromString('--liftoff')
      v8.setFlagsFromString('--wasm-lazy-compilation')
    },
  }
}
