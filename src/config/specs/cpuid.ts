/**
 * CPUID policies (`cpuid`): the string `host,NAME=VALUE,...` or a list of `LEAF[,SUBLEAF]:REG=32 characters`.
 *
 * XEN: what cannot be read is named and skipped, the guest starts; an entry that was begun stays. The result is
 * libxl's structure: per leaf and register 32 characters of 0, 1, x (default), k (host), s.
 */
import type { LibxlObject } from '../libxl-config.ts'
import { unsignedLong } from '../xl/number.ts'
import {
  ARCH_CAPABILITIES_MSR,
  CPUID_FIELDS,
  type CpuidField,
  type CpuidRegister,
  MSR_BITS,
} from './cpuid-features.ts'
import { accept, type SpecFault, type SpecResult } from './fault.ts'
import { option, type SpecToken } from './tokens.ts'

const REGISTERS = ['eax', 'ebx', 'ecx', 'edx'] as const
const DEFAULT_POLICY = 'x'.repeat(32)

interface Leaf extends Partial<Record<CpuidRegister, string>> {
  readonly leaf: number
  readonly subleaf?: number
}

/** A policy under construction: `cpuid` may have several strings. */
export class CpuidPolicy {
  readonly #leaves = new Map<string, Leaf>()
  #msr: string | undefined

  /** The string form. */
  addFlags(spec: string): SpecResult<undefined> {
    const [host, ...flags] = words(spec)
    if (host === undefined) return accept(undefined)
    const warnings: SpecFault[] = []
    if (host.text !== 'host') {
      return accept(undefined, [{ message: 'the first word must be "host"; ignored', near: spec, at: 0 }])
    }
    for (const flag of flags) {
      const message = this.#addFlag(option(flag))
      if (message !== undefined)
        warnings.push({ message: `${message}; skipped`, near: flag.text, at: flag.at })
    }
    return accept(undefined, warnings)
  }

  /** One string of the list form. */
  addLine(spec: string): SpecResult<undefined> {
    const message = this.#addLine(spec)
    return accept(
      undefined,
      message === undefined ? [] : [{ message: `${message}; skipped`, near: spec, at: 0 }],
    )
  }

  /** Absent if nothing was begun. */
  finish(): LibxlObject | undefined {
    if (this.#leaves.size === 0 && this.#msr === undefined) return undefined
    return {
      cpuid: [...this.#leaves.values()].map(({ leaf, subleaf, ...registers }) => ({
        leaf,
        ...(subleaf === undefined ? {} : { subleaf }),
        ...Object.fromEntries(
          REGISTERS.flatMap((name) => (registers[name] === undefined ? [] : [[name, registers[name]]])),
        ),
      })),
      msr: this.#msr === undefined ? [] : [{ index: ARCH_CAPABILITIES_MSR, policy: this.#msr }],
    }
  }

  #leaf(leaf: number, subleaf: number | undefined): Leaf {
    const place = `${leaf} ${subleaf}`
    const found = this.#leaves.get(place)
    if (found !== undefined) return found
    const made: Leaf = subleaf === undefined ? { leaf } : { leaf, subleaf }
    this.#leaves.set(place, made)
    return made
  }

  #addFlag(flag: { readonly key: string; readonly value: string } | undefined): string | undefined {
    if (flag === undefined) return 'not of the form flag=value'
    const field = CPUID_FIELDS.get(flag.key)
    if (field !== undefined) return this.#setField(flag.key, field, flag.value)
    const bit = MSR_BITS.get(flag.key)
    return bit === undefined ? 'unknown CPU feature' : this.#setMsrBit(bit, flag.value)
  }

  #setMsrBit(bit: number, value: string): string | undefined {
    this.#msr ??= 'x'.repeat(64)
    if (!/^[01xks]$/.test(value)) return 'the value must be one of 0 1 x k s'
    this.#msr = overlay(this.#msr, bit, value === 's' ? 'k' : value)
    return undefined
  }

  #setField(name: string, field: CpuidField, value: string): string | undefined {
    const entry = this.#leaf(field.leaf, field.subleaf)
    const number = unsignedLong(value, 0)
    const letter = value[0]
    if (number.length === 0 && letter !== 'x' && letter !== 'k' && letter !== 's')
      return 'the value must be a number or one of x k s'
    const before = entry[field.register] ?? DEFAULT_POLICY
    const bits = (width: number, from: bigint) => BigInt.asUintN(width, from).toString(2).padStart(width, '0')
    const flags = number.length > 0 ? bits(field.length, number.value) : letter!.repeat(field.length)
    entry[field.register] =
      name === 'family'
        ? withFamily(before, field, number.value, flags)
        : name === 'model'
          ? overlay(overlay(before, 16, flags.slice(0, 4)), field.bit, flags.slice(4))
          : overlay(before, field.bit, flags)
    return undefined
  }

  #addLine(spec: string): string | undefined {
    const leaf = unsignedLong(spec, 0)
    // XEN: this number marks the end of libxl's list.
    if (leaf.length === 0 || BigInt.asUintN(32, leaf.value) === 0xffffffffn) return 'no leaf number'
    let rest = spec.slice(leaf.length)
    let subleaf: number | undefined
    if (rest.startsWith(',')) {
      const number = unsignedLong(rest.slice(1), 0)
      if (number.length === 0) return 'no subleaf number'
      subleaf = Number(BigInt.asUintN(32, number.value))
      rest = rest.slice(1 + number.length)
    }
    if (!rest.startsWith(':')) return 'a colon is missing'
    const entry = this.#leaf(Number(BigInt.asUintN(32, leaf.value)), subleaf)
    for (rest = rest.slice(1); rest !== ''; ) {
      const match = /^e([a-d])x[^=]*=([^,]*)(,[ \n]*)?/.exec(rest)
      if (match === null) return 'registers are eax, ebx, ecx, edx'
      if (match[2]!.length !== 32) return 'the policy must be exactly 32 characters long'
      entry[`e${match[1] as 'a' | 'b' | 'c' | 'd'}x`] = match[2]!
      rest = rest.slice(match[0].length)
    }
    return undefined
  }
}

/** The parts between commas; blanks belong to them, so ` vmx` is no flag. */
function words(spec: string): readonly SpecToken[] {
  return [...spec.matchAll(/[^,]+/g)].map(({ 0: text, index: at }) => ({ text, at }))
}

/** Puts characters over a policy, their last one at `bit`. */
function overlay(policy: string, bit: number, flags: string): string {
  const end = policy.length - bit
  return policy.slice(0, end - flags.length) + flags + policy.slice(end)
}

/** The family is split over two fields of leaf 1: base (4 bits) and, from 16 on, extended (8 bits at bit 20). */
function withFamily(policy: string, field: CpuidField, family: bigint, flags: string): string {
  if (family < 16n) return overlay(overlay(policy, field.bit, flags.slice(4)), 20, '0'.repeat(8))
  // XEN: libxl fills only seven of the eight bits; the first keeps the number's own.
  const rest = BigInt.asUintN(7, family - 15n)
    .toString(2)
    .padStart(7, '0')
  return overlay(overlay(policy, field.bit, '1111'), 20, flags[0]! + rest)
}
