/**
 * Compares our decoder with iced-x86 on one byte string: validity, length, mnemonic, every explicit operand,
 * address and prefixes. Differences come back as a sentence, agreement as undefined.
 */
import iced from 'iced-x86'
import { Decoded, makeDecoder } from '../../../../src/plugins/cpu-software/isa/decode.ts'
import { FEATURES } from '../../../../src/plugins/cpu-software/isa/features.ts'
import type { Operand, Row } from '../../../../src/plugins/cpu-software/isa/row.ts'
import { ROWS } from '../../../../src/plugins/cpu-software/isa/table.ts'

const { Code, CpuidFeature, Decoder, DecoderOptions, Mnemonic, OpKind, Register } = iced

/** All rows, also those this CPU does not advertise. */
const decode = makeDecoder(new Set(FEATURES))

/** Extensions of iced that the table leaves out: their bytes must be #UD. RSM is #UD outside SMM. */
const LEFT_OUT =
  /^(ADX|AES|AVX|BMI2|CET|CLZERO|CMPCC|CYRIX|D3NOW|ENQCMD|F16C|FMA|FRED|GEODE|GFNI|HLE|HRESET|INVLPGB|KL|KNC|LKGS|LWP|MCOMMIT|MONITORX|MOVDIR|MSRLIST|OSS|PADLOCK|PCLMUL|PCONFIG|PKU|PTWRITE|RAO|RDPRU|RMPQUERY|RTM|SERIALIZE|SEV|SGX|SHA|SKINIT|SM[34MX]|SSE4A|SVM|TBM|TDX|TSE|TSXLDTRK|UINTR|VMX|WAITPKG|WRMSRNS|XOP)/

/** Register names of iced to our numbers. */
const NUMBER = new Map<number, number>()
const legacy = ['AX', 'CX', 'DX', 'BX', 'SP', 'BP', 'SI', 'DI']
const byName = Register as unknown as Record<string, number>
legacy.forEach((name, i) => {
  NUMBER.set(byName[name]!, i)
  NUMBER.set(byName[`E${name}`]!, i)
  NUMBER.set(byName[`R${name}`]!, i)
  NUMBER.set(byName[i < 4 ? name.replace('X', 'L') : `${name}L`]!, i)
  if (i < 4) NUMBER.set(byName[name.replace('X', 'H')]!, 16 + i)
})
for (let i = 0; i < 16; i++) {
  for (const name of [
    `R${i}L`,
    `R${i}W`,
    `R${i}D`,
    `R${i}`,
    `XMM${i}`,
    `MM${i}`,
    `ST${i}`,
    `CR${i}`,
    `DR${i}`,
  ]) {
    const register = byName[name]
    if (register !== undefined) NUMBER.set(register, i)
  }
}
for (const [i, name] of ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'].entries()) NUMBER.set(byName[name]!, i)

/** Where iced spells a mnemonic by size, we have one mnemonic and the operand size. */
function icedNames(row: Row): string[] {
  const size = row.opSize
  const suffix = { 8: 'B', 16: 'W', 32: 'D', 64: 'Q' }[size] ?? ''
  if (/^(MOVS|CMPS|STOS|LODS|SCAS|INS|OUTS)$/.test(row.mnemonic)) return [row.mnemonic + suffix]
  if (/^(PUSHF|POPF)$/.test(row.mnemonic)) return [row.mnemonic + (size === 16 ? '' : suffix)]
  if (/^(PUSHA|POPA)$/.test(row.mnemonic)) return [row.mnemonic + (size === 16 ? '' : suffix)]
  if (/^(CALLF|JMPF)$/.test(row.mnemonic)) return [row.mnemonic.slice(0, -1)]
  if (row.mnemonic === 'JRCXZ') return ['JCXZ', 'JECXZ', 'JRCXZ']
  if (row.mnemonic === 'VMMCALL') return ['VMMCALL', 'VMGEXIT']
  if (row.mnemonic === 'SHL') return ['SHL', 'SAL']
  if (row.mnemonic === 'SYSRET') return [size === 64 ? 'SYSRETQ' : 'SYSRET']
  if (row.mnemonic === 'SYSEXIT') return [size === 64 ? 'SYSEXITQ' : 'SYSEXIT']
  if (row.mnemonic === 'WBINVD') return ['WBINVD', 'WBNOINVD']
  if (row.mnemonic === 'FSTP') return ['FSTP', 'FSTPNCE']
  if (row.mnemonic.startsWith('PCMPESTR')) return [row.mnemonic, `${row.mnemonic}64`]
  if (row.mnemonic === 'FWAIT') return ['WAIT']
  return [row.mnemonic]
}

const out = new Decoded()

export function difference(bytes: Uint8Array, mode: 64 | 32 | 16): string | undefined {
  const decoder = new Decoder(mode, bytes, DecoderOptions.None)
  const theirs = decoder.decode()
  try {
    const length = decode(bytes, 0, bytes.length, mode, out)
    if (theirs.isInvalid) {
      // iced calls an instruction that runs out of bytes or is too long invalid as well.
      return length <= 0 ? undefined : `iced rejects ${ROWS[out.row]!.form} (${ROWS[out.row]!.encoding.text})`
    }
    if (length <= 0) {
      const features = [...theirs.cpuidFeatures()].map((f) => CpuidFeature[f]!)
      if (length === -1 && features.some((f) => LEFT_OUT.test(f))) return undefined
      return `we reject ${Code[theirs.code]} (${features.join()}): ${length}`
    }
    const row = ROWS[out.row]!
    if (theirs.length !== length) return `${row.form}: length ${length}, iced ${theirs.length}`
    const name = Mnemonic[theirs.mnemonic]!.toUpperCase()
    // iced names the hints inside the reserved NOPs.
    if (row.mnemonic === 'NOP') return undefined
    if (!icedNames(row).includes(name)) return `${row.form}: iced says ${Code[theirs.code]}`
    return differenceInOperands(theirs, row, length, mode)
  } finally {
    theirs.free()
    decoder.free()
  }
}

type Theirs = ReturnType<InstanceType<typeof Decoder>['decode']>

function differenceInOperands(theirs: Theirs, row: Row, length: number, mode: number): string | undefined {
  if (theirs.hasLockPrefix !== out.lock) return `${row.form}: lock`
  if (row.rep !== '') {
    // iced keeps both flags, ours is the last prefix.
    const rep = theirs.hasRepnePrefix ? 0xf2 : theirs.hasRepPrefix ? 0xf3 : 0
    if (rep !== out.rep) return `${row.form}: rep ${out.rep}, iced ${rep}`
  }
  const explicit = row.operands
  // iced lists the memory at rDI first.
  const hidden = row.mnemonic.startsWith('MASKMOV') ? 1 : 0
  if (
    theirs.opCount !== explicit.length &&
    explicit.every((o) => o.where !== 'fixed') &&
    !implicitOperands(row)
  ) {
    return `${row.form}: ${explicit.length} operands, iced ${theirs.opCount}`
  }
  for (const [i, operand] of explicit.entries()) {
    if (operand.where === 'fixed') continue
    const wrong =
      differenceInOperand(theirs, row, operand, i + hidden, length) ?? segmentDiffers(theirs, mode)
    if (wrong !== undefined) return `${row.form}: operand ${i} ${wrong}`
  }
  return undefined
}

/** iced lists these instructions' implicit registers as operands. */
const implicitOperands = (row: Row) => /^(MASKMOV|XLATB|FNSTSW|UD[01])/.test(row.mnemonic)

function differenceInOperand(
  theirs: Theirs,
  row: Row,
  operand: Operand,
  i: number,
  length: number,
): string | undefined {
  const kind = theirs.opKind(i)
  if (kind === OpKind.Register) {
    const theirNumber = NUMBER.get(theirs.opRegister(i))
    const ours = operand.where === 'reg' ? out.reg : operand.where === 'rm' ? out.rm : out.reg2
    if (operand.where === 'rm' && out.isMem) return 'is memory, iced: register'
    return ours === theirNumber ? undefined : `register ${ours}, iced ${Register[theirs.opRegister(i)]}`
  }
  if (operand.kind === 'moffs') {
    const ours = BigInt.asUintN(64, (BigInt(out.immHi) << 32n) | BigInt(out.imm >>> 0))
    const address = BigInt.asUintN(out.addrSize, ours)
    const theirAddress = BigInt.asUintN(out.addrSize, theirs.memoryDisplacement)
    if (address !== theirAddress) return `moffs ${address.toString(16)}, iced ${theirAddress.toString(16)}`
    return undefined
  }
  if (kind === OpKind.Memory) return differenceInAddress(theirs, length)
  if (kind === OpKind.NearBranch16 || kind === OpKind.NearBranch32 || kind === OpKind.NearBranch64) {
    const target = BigInt.asUintN(row.opSize, BigInt(length + out.imm))
    return target === theirs.nearBranchTarget
      ? undefined
      : `target ${target}, iced ${theirs.nearBranchTarget}`
  }
  if (kind === OpKind.FarBranch16 || kind === OpKind.FarBranch32) {
    const offset = kind === OpKind.FarBranch16 ? theirs.farBranch16 : theirs.farBranch32
    return offset === out.imm >>> 0 && theirs.farBranchSelector === out.imm2 ? undefined : 'far pointer'
  }
  const ours =
    operand.where === 'imm2' ? BigInt(out.imm2) : (BigInt(out.immHi) << 32n) | BigInt(out.imm >>> 0)
  const bits = operand.signed ? Math.max(row.opSize, 8) : operand.width
  const a = BigInt.asUintN(bits, ours)
  const b = BigInt.asUintN(bits, theirs.immediate(i))
  return a === b ? undefined : `immediate ${a.toString(16)}, iced ${b.toString(16)}`
}

function differenceInAddress(theirs: Theirs, length: number): string | undefined {
  if (!out.isMem) return 'is a register, iced: memory'
  const base = theirs.memoryBase
  const ripRelative = base === Register.RIP || base === Register.EIP
  if (ripRelative !== out.ripRelative) return `ripRelative ${out.ripRelative}`
  const theirBase = base === Register.None || ripRelative ? -1 : NUMBER.get(base)
  if (theirBase !== out.base) return `base ${out.base}, iced ${Register[base]}`
  const theirIndex = theirs.memoryIndex === Register.None ? -1 : NUMBER.get(theirs.memoryIndex)
  if (theirIndex !== out.index) return `index ${out.index}, iced ${Register[theirs.memoryIndex]}`
  if (out.index >= 0 && theirs.memoryIndexScale !== 1 << out.scale) return 'scale'
  const disp = BigInt.asUintN(out.addrSize, BigInt(out.disp + (ripRelative ? length : 0)))
  const theirDisp = BigInt.asUintN(out.addrSize, theirs.memoryDisplacement)
  if (disp !== theirDisp) return `disp ${disp.toString(16)}, iced ${theirDisp.toString(16)}`
  return undefined
}

/** iced reports the ignored overrides of 64-bit mode too. */
function segmentDiffers(theirs: Theirs, mode: number): string | undefined {
  const usesMemory =
    theirs.memorySegment !== Register.None &&
    (out.isMem || ROWS[out.row]!.operands.some((o) => o.kind === 'moffs'))
  if (!usesMemory) return undefined
  const overridden = theirs.segmentPrefix !== Register.None
  const number = NUMBER.get(theirs.segmentPrefix)
  const ignored = mode === 64 && overridden && number! < 4
  if (ignored) return out.seg === -1 ? undefined : `segment override ${out.seg} not ignored`
  if (overridden) return number === out.seg ? undefined : `segment override ${out.seg}, iced ${number}`
  return out.seg === -1 && NUMBER.get(theirs.memorySegment) === out.defaultSeg
    ? undefined
    : `segment ${out.defaultSeg}`
}
