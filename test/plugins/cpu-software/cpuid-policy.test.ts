import fc from 'fast-check'
import t from 'tap'
import { readDomain } from '../../../src/config/domain.ts'
import { applyRules, cpuidRules } from '../../../src/plugins/cpu-software/cpuid-policy.ts'

const rulesOf = (cpuid: string) => {
  const text = `name="x"\ntype="pvh"\nkernel="/k"\ncpuid=${cpuid}\n`
  return cpuidRules(JSON.parse(JSON.stringify(readDomain(text, 'x.cfg').libxl)))
}
function answer(
  cpuid: string,
  leaf: number,
  subleaf: number,
  register: 'eax' | 'ebx' | 'ecx' | 'edx',
  is: number,
) {
  const out = { eax: 0, ebx: 0, ecx: 0, edx: 0, [register]: is }
  applyRules(rulesOf(cpuid), leaf, subleaf, out)
  return out[register]
}
const POPCNT = 1 << 23
const AVX = 1 << 28

t.test('a feature can be hidden, but not given', async (t) => {
  t.equal(answer('"host,popcnt=0"', 1, 0, 'ecx', POPCNT | 1), 1)
  t.equal(answer('"host,popcnt=x"', 1, 0, 'ecx', POPCNT | 1), POPCNT | 1)
  t.equal(answer('"host,avx=1"', 1, 0, 'ecx', 1), 1)
  t.equal(answer('"host,avx=k"', 1, 0, 'ecx', AVX | 1), AVX | 1)
})

t.test('what is no feature is changed both ways', async (t) => {
  t.equal(answer('"host,family=6,model=42,stepping=7"', 1, 0, 'eax', 0x6fb), 0x206a7)
  t.equal(answer('"host,maxleaf=0xd"', 0, 0, 'eax', 0x16), 0xd)
})

t.test('lines for a register act on their leaf and subleaf alone', async (t) => {
  const lines = `[ "7,0:ebx=${'0'.repeat(32)}" ]`
  t.equal(answer(lines, 7, 0, 'ebx', 0x80), 0)
  t.equal(answer(lines, 7, 1, 'ebx', 0x80), 0x80)
  t.equal(answer(lines, 6, 0, 'ebx', 0x80), 0x80)
  t.equal(answer(`[ "4:eax=${'0'.repeat(32)}" ]`, 4, 3, 'eax', 0x80), 0, 'without a subleaf: all of them')
})

t.test('x changes nothing, whatever the processor says', async () => {
  fc.assert(
    fc.property(fc.nat(0xffffffff), fc.constantFrom('x', 'k', 's'), (is, letter) => {
      return answer(`[ "1:ecx=${letter.repeat(32)}" ]`, 1, 0, 'ecx', is) === is
    }),
    { numRuns: 50 },
  )
})
