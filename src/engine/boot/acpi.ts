/**
 * The ACPI tables of a PVH guest: RSDP, RSDT, XSDT, FADT, FACS, MADT and DSDT (ACPI 6.4, chapter 5), with the
 * contents that libacpi gives such a guest (xen/tools/libacpi; no \_S5, no IOAPIC, no legacy devices).
 *
 * XEN: the DSDT is our own. Xen's switches processors through a GPE that nobody emulates for PVH; ours says that
 * each possible processor is present, which is where Xen's ends up too, and has no GPE method.
 * XEN: the RSDT lists the same FADT as the XSDT; Xen's second, revision 1 FADT describes a PM timer that is not there.
 */
import * as aml from './aml.ts'
import { ACPI_AREA } from './e820.ts'

const LAPIC_BASE = 0xfee0_0000
const HEADER_BYTES = 36
const ENABLED = 1
const PCAT_COMPAT = 1

/** Xen's numbering: a vCPU's APIC id is twice its number, its ACPI id is the number. */
export const apicIdOf = (vcpu: number): number => vcpu * 2

/** [offset, width in bytes, value, name] of the FADT's fields that are not zero (section 5.2.9). */
const FADT_BYTES = 268
const fadtFields = (facs: number, dsdt: number) =>
  [
    [36, 4, facs, 'FIRMWARE_CTRL'],
    [40, 4, dsdt, 'DSDT'],
    [46, 2, 9, 'SCI_INT'],
    [56, 4, 0xb000, 'PM1a_EVT_BLK'],
    [64, 4, 0xb004, 'PM1a_CNT_BLK'],
    [80, 4, 0xafe0, 'GPE0_BLK'],
    [88, 1, 4, 'PM1_EVT_LEN'],
    [89, 1, 2, 'PM1_CNT_LEN'],
    [92, 1, 4, 'GPE0_BLK_LEN'],
    [96, 2, 0xfff, 'P_LVL2_LAT: no C2'],
    [98, 2, 0xfff, 'P_LVL3_LAT: no C3'],
    [109, 2, 0x24, 'IAPC_BOOT_ARCH: no VGA, no CMOS RTC; no 8042'],
    [112, 4, 0x8175, 'flags: WBINVD, C1, no fixed buttons, FIX_RTC, TMR_VAL_EXT, platform clock'],
    // RESET_REG: an I/O register of 8 bits, and what to write; RESET_REG_SUP is clear.
    [116, 1, 1, 'RESET_REG space: I/O'],
    [117, 1, 8, 'RESET_REG width'],
    [120, 4, 0xcf9, 'RESET_REG address'],
    [128, 1, 6, 'RESET_VALUE'],
    [132, 4, facs, 'X_FIRMWARE_CTRL'],
    [140, 4, dsdt, 'X_DSDT'],
    [148, 1, 1, 'X_PM1a_EVT_BLK space: I/O'],
    [149, 1, 32, 'X_PM1a_EVT_BLK width'],
    [152, 4, 0xb000, 'X_PM1a_EVT_BLK address'],
    [172, 1, 1, 'X_PM1a_CNT_BLK space: I/O'],
    [173, 1, 16, 'X_PM1a_CNT_BLK width'],
    [176, 4, 0xb004, 'X_PM1a_CNT_BLK address'],
  ] as const

export interface AcpiInput {
  /** vCPUs online at start and vCPUs possible, at most 128. */
  readonly vcpus: number
  readonly maxVcpus: number
}

/** The contents of the ACPI area (ACPI_AREA.start up to its end), RSDP included. */
export function buildAcpi(input: AcpiInput): Uint8Array {
  const area = new Uint8Array(ACPI_AREA.end - ACPI_AREA.start)
  let next: number = ACPI_AREA.tables
  const place = (table: Uint8Array): number => {
    const at = next
    if (at + table.length > ACPI_AREA.rsdp) throw new RangeError('the ACPI tables do not fit into their area')
    area.set(table, at - ACPI_AREA.start)
    next = Math.ceil((at + table.length) / 64) * 64
    return at
  }
  const facs = place(buildFacs())
  const dsdt = place(buildDsdt(input.maxVcpus))
  const fadt = place(buildFadt(facs, dsdt))
  const madt = place(buildMadt(input))
  const xsdt = place(buildRootTable('XSDT', 8, [fadt, madt]))
  const rsdt = place(buildRootTable('RSDT', 4, [fadt, madt]))
  area.set(buildRsdp(rsdt, xsdt), ACPI_AREA.rsdp - ACPI_AREA.start)
  return area
}

/** A table with its header; `fill` gets a view of the whole table. */
function table(
  signature: string,
  revision: number,
  length: number,
  fill: (view: DataView) => void,
): Uint8Array {
  const bytes = new Uint8Array(length)
  const view = new DataView(bytes.buffer)
  writeText(bytes, 0, signature)
  view.setUint32(4, length, true)
  bytes[8] = revision
  writeText(bytes, 10, 'Xen\0\0\0') // OEM
  writeText(bytes, 16, 'HVM') // OEM table
  writeText(bytes, 28, 'xt') // creator
  fill(view)
  bytes[9] = checksum(bytes)
  return bytes
}

function buildFacs(): Uint8Array {
  const bytes = new Uint8Array(64)
  writeText(bytes, 0, 'FACS')
  bytes[4] = 64
  bytes[32] = 1 // version
  return bytes
}

function buildDsdt(maxVcpus: number): Uint8Array {
  const processors = Array.from({ length: maxVcpus }, (_, i) =>
    aml.device(`C${i.toString(16).toUpperCase().padStart(3, '0')}`, [
      aml.name('_HID', aml.string('ACPI0007')),
      aml.name('_UID', aml.integer(i)),
      aml.name('_STA', aml.integer(0xf)),
      aml.name('_MAT', aml.buffer(lapicEntry(i, true))),
    ]),
  )
  const code = aml.scope('_SB_', processors)
  return table('DSDT', 5, HEADER_BYTES + code.length, (view) => {
    new Uint8Array(view.buffer).set(code, HEADER_BYTES)
  })
}

function buildFadt(facs: number, dsdt: number): Uint8Array {
  return table('FACP', 5, FADT_BYTES, (view) => {
    for (const [offset, width, value] of fadtFields(facs, dsdt)) {
      if (width === 1) view.setUint8(offset, value)
      else if (width === 2) view.setUint16(offset, value, true)
      else view.setUint32(offset, value, true)
    }
  })
}

function buildMadt({ vcpus, maxVcpus }: AcpiInput): Uint8Array {
  const entries = Array.from({ length: maxVcpus }, (_, i) => lapicEntry(i, i < vcpus)).flat()
  return table('APIC', 2, HEADER_BYTES + 8 + entries.length, (view) => {
    view.setUint32(HEADER_BYTES, LAPIC_BASE, true)
    view.setUint32(HEADER_BYTES + 4, PCAT_COMPAT, true)
    new Uint8Array(view.buffer).set(entries, HEADER_BYTES + 8)
  })
}

/** Processor Local APIC structure (section 5.2.12.2). */
function lapicEntry(vcpu: number, isEnabled: boolean): number[] {
  return [0, 8, vcpu, apicIdOf(vcpu), isEnabled ? ENABLED : 0, 0, 0, 0]
}

function buildRootTable(signature: 'RSDT' | 'XSDT', width: 4 | 8, tables: readonly number[]): Uint8Array {
  return table(signature, 1, HEADER_BYTES + tables.length * width, (view) => {
    tables.forEach((address, i) => {
      view.setUint32(HEADER_BYTES + i * width, address, true)
    })
  })
}

/** Section 5.2.5.3: one checksum over the first 20 bytes, one over all 36. */
function buildRsdp(rsdt: number, xsdt: number): Uint8Array {
  const bytes = new Uint8Array(36)
  const view = new DataView(bytes.buffer)
  writeText(bytes, 0, 'RSD PTR ')
  writeText(bytes, 9, 'Xen')
  bytes[15] = 2 // revision
  view.setUint32(16, rsdt, true)
  view.setUint32(20, bytes.length, true)
  view.setUint32(24, xsdt, true)
  bytes[8] = checksum(bytes.subarray(0, 20))
  bytes[32] = checksum(bytes)
  return bytes
}

/** The byte that makes the sum of all bytes zero; its own place must hold zero. */
function checksum(bytes: Uint8Array): number {
  return -bytes.reduce((sum, byte) => sum + byte, 0) & 255
}

function writeText(bytes: Uint8Array, offset: number, text: string): void {
  for (let i = 0; i < text.length; i++) bytes[offset + i] = text.charCodeAt(i)
}
