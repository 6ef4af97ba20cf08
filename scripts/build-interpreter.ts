/** Writes the software CPU's interpreter, two WebAssembly modules, into a folder: `node scripts/build-interpreter.ts DIR`. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildCore } from '../src/plugins/cpu-software/core.ts'
import { INTERPRETER_FILES } from '../src/plugins/cpu-software/interpreter.ts'

const folder = process.argv[2]
if (folder === undefined) {
  process.stderr.write('usage: node scripts/build-interpreter.ts DIR\n')
  process.exitCode = 2
} else {
  mkdirSync(folder, { recursive: true })
  const modules = buildCore()
  for (const part of ['core', 'rest'] as const)
    writeFileSync(join(folder, INTERPRETER_FILES[part]), modules[part])
}
