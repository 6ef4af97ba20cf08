/**
 * Compares the declared structures with Xen's own headers: writes a C program whose constants the compiler works out,
 * for x86-64 and x86-32, and reads them from its assembly; nothing is run, so no 32-bit libraries are needed.
 *
 *   node scripts/abi-probe.ts            rewrites test/xen/abi/fixtures/abi-golden.json
 *   node scripts/abi-probe.ts --check    says whether that file is still what the headers give
 *
 * Needs gcc and Xen's headers (Debian: gcc, libxen-dev); says so and exits 0 where they are missing.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { keyOf, numbersOf, XEN_STRUCTS } from '../src/xen/abi/all.ts'

export const GOLDEN = fileURLToPath(new URL('../test/xen/abi/fixtures/abi-golden.json', import.meta.url))
const HEADERS = '/usr/include/xen'

export type Golden = Record<string, Record<string, number>>

/** Why the probe cannot run here, or undefined. */
export function cannotProbe(): string | undefined {
  if (!existsSync(join(HEADERS, 'xen.h'))) return `no Xen headers in ${HEADERS} (Debian: libxen-dev)`
  if (spawnSync('gcc', ['--version']).status !== 0) return 'no gcc'
  return undefined
}

function program(abi: 64 | 32): string {
  const structs = XEN_STRUCTS.filter((s) => s.abis.includes(abi))
  const headers = [...new Set(['xen.h', ...structs.map((s) => s.header)])]
  const lines = structs.flatMap((s) =>
    Object.keys(numbersOf(s, abi)).map((path) => {
      const value = path === 'sizeof' ? `sizeof(${s.ctype})` : `__builtin_offsetof(${s.ctype}, ${path})`
      return `  asm volatile("#PROBE ${keyOf(s, abi)}|${path}|%c0" : : "i"(${value}));`
    }),
  )
  return [
    '#include <stdint.h>',
    '#include <stddef.h>',
    ...headers.map((h) => `#include <xen/${h}>`),
    'void probe(void) {',
    ...lines,
    '}',
    '',
  ].join('\n')
}

/** What the headers give. Throws with the compiler's words if a name does not exist. */
export function probe(): Golden {
  const golden: Golden = {}
  const dir = mkdtempSync(join(tmpdir(), 'abi-probe-'))
  try {
    for (const abi of [64, 32] as const) {
      const source = join(dir, `probe${abi}.c`)
      writeFileSync(source, program(abi))
      const args = [
        `-m${abi}`,
        '-ffreestanding',
        '-D__XEN_INTERFACE_VERSION__=0x00040e00',
        '-S',
        '-o',
        '-',
        source,
      ]
      const run = spawnSync('gcc', args, { encoding: 'utf8', maxBuffer: 1 << 26 })
      if (run.status !== 0) throw new Error(run.stderr)
      for (const [, key, path, value] of run.stdout.matchAll(/#PROBE ([^|]+)\|([^|]+)\|\$?(\d+)/g)) {
        golden[key!] ??= {}
        golden[key!]![path!] = Number(value)
      }
    }
  } finally {
    rmSync(dir, { recursive: true })
  }
  return golden
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const reason = cannotProbe()
  if (reason !== undefined) {
    console.log(`skipped: ${reason}`)
  } else {
    const text = `${JSON.stringify(probe(), undefined, 1)}\n`
    if (!process.argv.includes('--check')) writeFileSync(GOLDEN, text)
    else if (readFileSync(GOLDEN, 'utf8') !== text) {
      console.error(`${GOLDEN} is not what the headers give: run scripts/abi-probe.ts`)
      process.exitCode = 1
    }
  }
}
