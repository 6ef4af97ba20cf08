import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { buildAcpi } from '../../../src/engine/boot/acpi.ts'
import { ACPI_AREA } from '../../../src/engine/boot/e820.ts'

const golden = JSON.parse(readFileSync(new URL('fixtures/golden.json', import.meta.url), 'utf8'))

/** Reads the area as a guest does: from the RSDP on. */
function parse(input: { vcpus: number; maxVcpus: number }) {
  const area = buildAcpi(input)
  const view = new DataView(area.buffer)
  const at = (gpa: number) => gpa - ACPI_AREA.start
  const text = (gpa: number, length: number) =>
    String.fromCharCode(...area.subarray(at(gpa), at(gpa) + length))
  const u8 = (gpa: number) => view.getUint8(at(gpa))
  const u32 = (gpa: number) => view.getUint32(at(gpa), true)
  const u64 = (gpa: number) => Number(view.getBigUint64(at(gpa), true))
  const bytes = (gpa: number, length: number) => area.subarray(at(gpa), at(gpa) + length)
  const sum = (gpa: number, length: number) => bytes(gpa, length).reduce((a, b) => a + b, 0) & 255
  const header = (gpa: number) => ({
    signature: text(gpa, 4),
    length: u32(gpa + 4),
    revision: u8(gpa + 8),
    oem: text(gpa + 10, 6),
    oemTable: text(gpa + 16, 8),
  })
  const number = (gpa: number, width: number) => (width === 8 ? u64(gpa) : u32(gpa) % 2 ** (8 * width))
  const xsdt = u64(ACPI_AREA.rsdp + 24)
  const rsdt = u32(ACPI_AREA.rsdp + 16)
  const tables = Array.from({ length: (u32(xsdt + 4) - 36) / 8 }, (_, i) => u64(xsdt + 36 + 8 * i))
  const oldTables = Array.from({ length: (u32(rsdt + 4) - 36) / 4 }, (_, i) => u32(rsdt + 36 + 4 * i))
  return { text, u8, u32, u64, bytes, sum, header, number, xsdt, rsdt, tables, oldTables }
}

t.test('the RSDP is where start_info says, in Xen’s revision, with both checksums right', async (t) => {
  const acpi = parse({ vcpus: 1, maxVcpus: 1 })
  t.equal(ACPI_AREA.rsdp, golden.startInfo.rsdp)
  t.equal(acpi.text(ACPI_AREA.rsdp, 8), 'RSD PTR ')
  t.strictSame(
    {
      oem: acpi.text(ACPI_AREA.rsdp + 9, 6),
      revision: acpi.u8(ACPI_AREA.rsdp + 15),
      length: acpi.u32(ACPI_AREA.rsdp + 20),
    },
    golden.rsdp,
  )
  t.equal(acpi.sum(ACPI_AREA.rsdp, 20), 0)
  t.equal(acpi.sum(ACPI_AREA.rsdp, 36), 0)
})

t.test('the XSDT lists the tables that Xen’s lists, the RSDT the same', async (t) => {
  const acpi = parse({ vcpus: 1, maxVcpus: 1 })
  t.strictSame(
    { ...acpi.header(acpi.xsdt), tables: acpi.tables.map((gpa) => acpi.text(gpa, 4)) },
    golden.xsdt,
  )
  t.strictSame(acpi.oldTables, acpi.tables)
})

t.test('the FADT has the header and the field values of Xen’s', async (t) => {
  const acpi = parse({ vcpus: 1, maxVcpus: 1 })
  const fadt = acpi.tables[0]!
  const fields = golden.fadt.fields as [string, number, number, number][]
  const ours = fields.map(([name, offset, width]) => [name, offset, width, acpi.number(fadt + offset, width)])
  t.strictSame({ ...acpi.header(fadt), fields: ours }, golden.fadt)
})

t.test('FACS and DSDT are where the FADT’s old and new fields say', async (t) => {
  const acpi = parse({ vcpus: 1, maxVcpus: 1 })
  const fadt = acpi.tables[0]!
  const facs = acpi.u32(fadt + 36)
  t.strictSame(
    {
      address: facs,
      xAddress: acpi.u64(fadt + 132),
      signature: acpi.text(facs, 4),
      length: acpi.u32(facs + 4),
      version: acpi.u8(facs + 32),
    },
    golden.facs,
  )
  const dsdt = acpi.u32(fadt + 40)
  t.equal(acpi.u64(fadt + 140), dsdt)
  const { length: _, ...header } = acpi.header(dsdt)
  t.strictSame(header, golden.dsdt)
})

t.test(
  'the MADT of one vCPU is Xen’s; of several, APIC ids are even and only the first are enabled',
  async (t) => {
    const read = (input: { vcpus: number; maxVcpus: number }) => {
      const acpi = parse(input)
      const madt = acpi.tables[1]!
      const header = acpi.header(madt)
      const entries = Array.from({ length: (header.length - 44) / 8 }, (_, i) => [
        ...acpi.bytes(madt + 44 + 8 * i, 8),
      ])
      return { ...header, lapic: acpi.u32(madt + 36), flags: acpi.u32(madt + 40), entries }
    }
    t.strictSame(read({ vcpus: 1, maxVcpus: 1 }), golden.madt)
    const four = read({ vcpus: 2, maxVcpus: 4 })
    t.equal(four.length, golden.madtOf4.length)
    t.strictSame(four.entries, [
      [0, 8, 0, 0, 1, 0, 0, 0],
      [0, 8, 1, 2, 1, 0, 0, 0],
      [0, 8, 2, 4, 0, 0, 0, 0],
      [0, 8, 3, 6, 0, 0, 0, 0],
    ])
  },
)

t.test(
  'for 1 to 128 vCPUs all tables lie in the area, apart from each other, with right checksums',
  async (t) => {
    for (const maxVcpus of [1, 2, 3, 31, 32, 33, 127, 128]) {
      const acpi = parse({ vcpus: 1, maxVcpus })
      const [fadt, madt] = acpi.tables as [number, number]
      const all = [acpi.u32(fadt + 36), acpi.u32(fadt + 40), fadt, madt, acpi.xsdt, acpi.rsdt]
      let end: number = ACPI_AREA.tables
      for (const gpa of all.toSorted((a, b) => a - b)) {
        t.ok(gpa >= end, `${acpi.text(gpa, 4)} of ${maxVcpus} vCPUs`)
        end = gpa + acpi.u32(gpa + 4)
        if (acpi.text(gpa, 4) !== 'FACS') t.equal(acpi.sum(gpa, acpi.u32(gpa + 4)), 0)
      }
      t.ok(end <= ACPI_AREA.rsdp)
    }
  },
)

const hasIasl = spawnSync('iasl', ['-v']).error === undefined
t.test(
  'iasl disassembles the DSDT: one processor a possible vCPU, and no \\_S5',
  hasIasl ? {} : { skip: 'iasl is not installed (Debian: acpica-tools)' },
  async (t) => {
    const acpi = parse({ vcpus: 2, maxVcpus: 128 })
    const dsdt = acpi.u32(acpi.tables[0]! + 40)
    const dir = t.testdir()
    writeFileSync(join(dir, 'dsdt.aml'), acpi.bytes(dsdt, acpi.u32(dsdt + 4)))
    const disassembly = spawnSync('iasl', ['-d', 'dsdt.aml'], { cwd: dir, encoding: 'utf8' })
    t.equal(disassembly.status, 0)
    const source = readFileSync(join(dir, 'dsdt.dsl'), 'utf8')
    t.equal(source.match(/Name \(_HID, "ACPI0007"/g)?.length, 128)
    t.match(source, 'Name (_UID, 0x7F)')
    t.notMatch(source, '_S5')
    const compilation = spawnSync('iasl', ['dsdt.dsl'], { cwd: dir, encoding: 'utf8' })
    t.match(compilation.stdout, '0 Errors, 0 Warnings')
  },
)
