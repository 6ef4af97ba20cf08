/**
 * The compiled interpreter: from the files that the build wrote beside this module, or made on the spot when xt
 * runs from its sources, or when the guest is traced.
 */
import { readFile } from 'node:fs/promises'
import type { CoreBytes } from './core.ts'
import type { CoreModules } from './cpu.ts'
import type { Traced } from './trace/emit-trace.ts'
import { optimising } from './wasm/engine.ts'

/** Files that `npm run build` puts beside the built module. */
export const INTERPRETER_FILES = { core: 'interpreter-core.wasm', rest: 'interpreter-rest.wasm' } as const

async function bytes(traced: Traced | undefined): Promise<CoreBytes> {
  if (traced !== undefined || import.meta.url.endsWith('.ts')) {
    const { buildCore } = await import('./core.ts')
    return buildCore(traced)
  }
  const read = (name: string) => readFile(new URL(`./${name}`, import.meta.url))
  const [core, rest] = await Promise.all([read(INTERPRETER_FILES.core), read(INTERPRETER_FILES.rest)])
  return { core, rest }
}

const LONG_MS = 60_000

/**
 * Compiles off this thread. The core is optimised at once (it would spend its first seconds in baseline code
 * otherwise); the rest is compiled function by function when first called. `traced`: trace/emit-trace.ts.
 */
export async function compileInterpreter(traced?: Traced): Promise<CoreModules> {
  const { core, rest } = await bytes(traced)
  // Node ends a process that waits for nothing but V8's threads.
  const stay = setInterval(() => {}, LONG_MS)
  try {
    const restModule = await WebAssembly.compile(rest)
    // Nothing else compiles WebAssembly meanwhile.
    using _ = optimising()
    return { core: await WebAssembly.compile(core), rest: restModule, traced }
  } finally {
    clearInterval(stay)
  }
}
