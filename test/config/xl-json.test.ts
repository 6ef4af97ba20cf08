import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { readDomain } from '../../src/config/domain.ts'
import { printDomain, printJson } from '../../src/config/xl-json.ts'

const GOLDEN = new URL('fixtures/golden/', import.meta.url)

for (const file of readdirSync(GOLDEN).filter((name) => name.endsWith('.cfg'))) {
  t.test(`the dry run of ${file} is what the real xl printed, byte for byte`, async (t) => {
    const { libxl } = readDomain(readFileSync(new URL(file, GOLDEN), 'utf8'), file)
    t.equal(printDomain(libxl), readFileSync(new URL(file.replace('.cfg', '.json'), GOLDEN), 'utf8'))
  })
}

t.test('fields at their defaults are left out, whatever the file said', async (t) => {
  const text =
    'name="a"\ntype="hvm"\nhdtype="ide"\ntsc_mode="default"\nusbversion=0\nbios="unknown"\ndisk=[]\n'
  t.same(readDomain(text, 'a.cfg').libxl['b_info'], {
    tsc_mode: 'default',
    claim_mode: true,
    'type.hvm': {
      usbversion: 0,
      bios: 'unknown',
      hdtype: 'ide',
      vnc: {},
      sdl: {},
      smbios: [],
    },
    ioports: [],
    irqs: [],
    iomem: [],
    llc_colors: [],
    max_vcpus: 0,
  })
  t.notMatch(printDomain(readDomain(text, 'a.cfg').libxl), /hdtype|tsc_mode|usbversion|bios|disks|max_vcpus/)
})

t.test('numbers beyond 2^53 are printed to the last digit', async (t) => {
  t.equal(
    printJson({ a: 18446744073709551615n, b: [], c: {} }),
    '{\n    "a": 18446744073709551615,\n    "b": [\n\n    ],\n    "c": {\n\n    }\n}',
  )
})
