/** Short names for the operators the core is written with (core specification, 5.4.7). */
import { type Expr, i32, i64, op } from './encoder.ts'

const two =
  (type: Expr['type'], opcode: number) =>
  (a: Expr, b: Expr): Expr =>
    op(type, opcode, a, b)

export const add = two('i64', 0x7c)
export const sub = two('i64', 0x7d)
export const mul = two('i64', 0x7e)
export const divS = two('i64', 0x7f)
export const divU = two('i64', 0x80)
export const remS = two('i64', 0x81)
export const remU = two('i64', 0x82)
export const and = two('i64', 0x83)
export const or = two('i64', 0x84)
export const xor = two('i64', 0x85)
export const shl = two('i64', 0x86)
export const sar = two('i64', 0x87)
export const shr = two('i64', 0x88)
export const rotl = two('i64', 0x89)
export const eq = two('i32', 0x51)
export const ne = two('i32', 0x52)
export const ltS = two('i32', 0x53)
export const ltU = two('i32', 0x54)
export const gtU = two('i32', 0x56)
export const leU = two('i32', 0x58)
export const eqz = (a: Expr): Expr => op('i32', 0x50, a)
export const clz = (a: Expr): Expr => op('i64', 0x79, a)
export const ctz = (a: Expr): Expr => op('i64', 0x7a, a)
export const popcnt = (a: Expr): Expr => op('i64', 0x7b, a)

export const add32 = two('i32', 0x6a)
export const sub32 = two('i32', 0x6b)
export const mul32 = two('i32', 0x6c)
export const and32 = two('i32', 0x71)
export const or32 = two('i32', 0x72)
export const xor32 = two('i32', 0x73)
export const shl32 = two('i32', 0x74)
export const shr32 = two('i32', 0x76)
export const eq32 = two('i32', 0x46)
export const ne32 = two('i32', 0x47)
export const ltU32 = two('i32', 0x49)
export const gtS32 = two('i32', 0x4a)
export const gtU32 = two('i32', 0x4b)
export const not32 = (a: Expr): Expr => op('i32', 0x45, a)

export const wrap = (a: Expr): Expr => op('i32', 0xa7, a)
export const widen = (a: Expr): Expr => op('i64', 0xad, a)
export const select = (condition: Expr, then: Expr, otherwise: Expr): Expr =>
  op(then.type, 0x1b, then, otherwise, condition)

/** Bit of a 64-bit word as 0 or 1. */
export const bit64 = (a: Expr, index: number): Expr => and32(wrap(shr(a, i64(index))), i32(1))
