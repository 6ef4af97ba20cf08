/**
 * Names for V8's profiler: the custom section "name" of the WebAssembly specification's appendix, appended to a finished
 * module. A module's name becomes part of its functions' URL (wasm://wasm/NAME-HASH).
 */
const CUSTOM = 0
const EXPORT = 7
const FUNCTION_EXPORT = 0
const HEADER_BYTES = 8
/** Subsections. */
const [MODULE_NAME, FUNCTION_NAMES] = [0, 1]

/** The module with its name; `functions` are names by function index, exported functions have theirs anyway. */
export function named(
  module: Uint8Array,
  name: string,
  functions: ReadonlyMap<number, string> = new Map(),
): Uint8Array {
  const all = [...new Map([...exportedFunctions(module), ...functions])].sort(([a], [b]) => a - b)
  const names = [...leb(all.length), ...all.flatMap(([index, text]) => [...leb(index), ...string(text)])]
  const section = [...string('name'), ...sized(MODULE_NAME, string(name)), ...sized(FUNCTION_NAMES, names)]
  return Uint8Array.from([...module, ...sized(CUSTOM, section)])
}

const leb = (n: number): number[] => (n < 0x80 ? [n] : [(n & 0x7f) | 0x80, ...leb(n >>> 7)])
const string = (text: string): number[] => [
  ...leb(text.length),
  ...Array.from(text, (c) => c.charCodeAt(0) & 0x7f),
]
const sized = (id: number, bytes: readonly number[]): number[] => [id, ...leb(bytes.length), ...bytes]

function exportedFunctions(module: Uint8Array): readonly (readonly [index: number, name: string])[] {
  let at = HEADER_BYTES
  const number = (): number => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = module[at++]!
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  while (at < module.length) {
    const id = module[at++]
    const size = number()
    if (id !== EXPORT) {
      at += size
      continue
    }
    return Array.from({ length: number() }, () => {
      const length = number()
      const name = new TextDecoder().decode(module.subarray(at, at + length))
      at += length
      const kind = module[at++]
      return { kind, index: number(), name }
    }).flatMap(({ kind, index, name }) => (kind === FUNCTION_EXPORT ? [[index, name] as const] : []))
  }
  return []
}
