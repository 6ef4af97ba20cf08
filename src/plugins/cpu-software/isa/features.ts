/**
 * CPUID features that rows of the instruction table name, and the set this CPU advertises.
 *
 * A row whose feature is not advertised is not in the decoder: its bytes raise #UD, or mean what they
 * meant before the extension (F3 0F BC is BSF where TZCNT is absent). CPUID leaves are made from the same set.
 */
export const FEATURES = [
  'BASE',
  'X87',
  'MMX',
  'SSE',
  'SSE2',
  'SSE3',
  'SSSE3',
  'SSE4_1',
  'SSE4_2',
  'POPCNT',
  'CX16',
  'MOVBE',
  'LZCNT',
  'BMI1',
  'MONITOR',
  'CLFLUSHOPT',
  'CLWB',
  'RDTSCP',
  'RDPID',
  'FSGSBASE',
  'SMAP',
  'INVPCID',
  'RDRAND',
  'RDSEED',
  'XSAVE',
  'XSAVEOPT',
  'XSAVEC',
  'XSAVES',
] as const

export type Feature = (typeof FEATURES)[number]

/** What CPUID says and the decoder accepts. Not SSE4.2: C libraries would then use its string instructions, which are slower here than plain SSE2 code. */
export const ADVERTISED: ReadonlySet<Feature> = new Set<Feature>([
  'BASE',
  'X87',
  'MMX',
  'SSE',
  'SSE2',
  'SSE3',
  'SSSE3',
  'SSE4_1',
  'POPCNT',
  'CX16',
  'RDTSCP',
])
