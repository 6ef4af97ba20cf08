/**
 * A micro-guest: a whole PVH guest of a few KiB that tries one behaviour and says PASS, FAIL or SKIP as the last
 * line of its console, then powers off. Runs wherever a PVH kernel boots; the body is written with the assembler.
 *
 *   export const guest = microGuest('fault-write', 'a write to a read-only page faults with error 3', (g) => {
 *     ...
 *     g.fault({ vector: 14, error: 3, address: PLAYGROUND }, () => g.emit('MOV', mem({ disp: PLAYGROUND }), 'eax'))
 *   })
 */
import { Assembler, at, label, mem } from '../../plugins/cpu-software/isa/assemble.ts'
import type { Argument, RegisterName } from '../../plugins/cpu-software/isa/operand.ts'
import { defineZeroed, emitDescriptors, LOAD_ADDRESS, PLAYGROUND, SELECTOR } from './layout.ts'
import { pvhElf } from './pvh-elf.ts'
import { emitRoutines } from './runtime.ts'
import { emitStart } from './start.ts'

export interface MicroGuest {
  /** File name without extension. */
  readonly name: string
  /** The behaviour, a sentence. */
  readonly claim: string
  readonly vcpus: number
  /** Uses hypercalls: there is nothing to try elsewhere. */
  readonly needsXen: boolean
  /** The ELF file. */
  build(): Uint8Array
}

export interface GuestOptions {
  readonly vcpus?: number
  readonly needsXen?: boolean
}

export function microGuest(
  name: string,
  claim: string,
  body: (g: GuestBuilder) => void,
  options: GuestOptions = {},
): MicroGuest {
  return {
    name,
    claim,
    vcpus: options.vcpus ?? 1,
    needsXen: options.needsXen ?? false,
    build: () => buildGuest(body),
  }
}

/** The ELF file of a guest whose routine `main` is `body`. */
export function buildGuest(body: (g: GuestBuilder) => void): Uint8Array {
  const g = new GuestBuilder(64, LOAD_ADDRESS)
  emitDescriptors(g)
  emitStart(g)
  emitRoutines(g)
  g.mode(64).label('main')
  body(g)
  g.emit('RET')
  g.emitStrings()
  const end = defineZeroed(g)
  return pvhElf({
    load: LOAD_ADDRESS,
    entry: g.address('entry'),
    bytes: g.assemble(),
    memSize: end - LOAD_ADDRESS,
  })
}

/** What a fault must look like; what is left out is not looked at. */
export interface ExpectedFault {
  readonly vector: number
  readonly error?: number
  /** CR2. */
  readonly address?: number
  /** Label of the instruction RIP must point to. */
  readonly at?: string
  /** Privilege level it happened at. */
  readonly cpl?: number
}

/** The assembler with what tests need. Nothing here changes registers, but `fault`, `hypercall` and `enterUser`. */
export class GuestBuilder extends Assembler {
  readonly #strings = new Map<string, string>()
  #unique = 0

  /** A label nobody else has. */
  unique(stem: string): string {
    return `${stem}_${this.#unique++}`
  }

  /** The label of a NUL-ended string. */
  string0(text: string): string {
    let name = this.#strings.get(text)
    if (name === undefined) {
      name = this.unique('text')
      this.#strings.set(text, name)
    }
    return name
  }

  print(text: string): this {
    this.emit('PUSH', 'rsi')
      .emit('PUSH', 'rax')
      .emit('LEA', 'rsi', at(this.string0(text)))
    return this.call('puts').emit('POP', 'rax').emit('POP', 'rsi')
  }

  /** Ends the guest with SKIP. */
  skip(reason: string): this {
    return this.emit('LEA', 'rsi', at(this.string0(reason))).emit('JMP', label('skip'))
  }

  /** Fails with `what` unless the register or 64-bit variable holds the value. Keeps registers, not flags. */
  check(what: string, got: RegisterName | { readonly variable: string }, expected: Argument): this {
    const good = this.unique('good')
    this.emit('PUSH', 'rsi').emit('PUSH', 'rcx').emit('PUSH', 'rax')
    if (typeof got === 'string') this.#moveTo64(got)
    else this.emit('MOV', 'rax', at(got.variable))
    this.emit('MOV', 'rcx', expected).emit('CMP', 'rax', 'rcx').jcc('E', good)
    this.emit('LEA', 'rsi', at(this.string0(what))).call('report')
    return this.label(good).emit('POP', 'rax').emit('POP', 'rcx').emit('POP', 'rsi')
  }

  #moveTo64(register: RegisterName): void {
    if (/^(r\w\w|r\d+)$/.test(register)) this.emit('MOV', 'rax', register)
    else if (/^(e\w\w|r\d+d)$/.test(register)) this.emit('MOV', 'eax', register)
    else if (/^(cr\d|dr\d)$/.test(register)) this.emit('MOV', 'rax', register)
    else if (/^[c-gs]s$/.test(register)) this.emit('XOR', 'eax', 'eax').emit('MOV', 'eax', register)
    else this.emit('MOVZX', 'eax', register)
  }

  /** Fails with `what` when it is reached. */
  fail(what: string): this {
    return this.print(`${what}\r\n`).emit('INC', at('failures', { size: 64 }))
  }

  /**
   * `body` must fault as expected; what it left in the registers is there afterwards (RAX lost before it).
   * It may enter user mode: the fault brings it back. Vectors with a `handler` go there instead.
   */
  fault(expected: ExpectedFault, body: () => void): this {
    const caught = this.unique('caught')
    const after = this.unique('after')
    this.emit('MOV', 'eax', label(caught))
      .emit('MOV', at('recover_rsp'), 'rsp')
      .emit('MOV', at('recover'), 'rax')
    body()
    this.emit('MOV', at('recover', { size: 64 }), 0)
      .fail(`no exception ${expected.vector}`)
      .jmp(after)
    this.label(caught).check('vector', { variable: 'fault_vector' }, expected.vector)
    if (expected.error !== undefined) this.check('error code', { variable: 'fault_error' }, expected.error)
    if (expected.address !== undefined) this.check('CR2', { variable: 'fault_address' }, expected.address)
    if (expected.at !== undefined)
      this.check('RIP of the fault', { variable: 'fault_rip' }, label(expected.at))
    if (expected.cpl !== undefined) {
      this.emit('AND', at('fault_cs', { size: 64 }), 3).check(
        'CPL of the fault',
        { variable: 'fault_cs' },
        expected.cpl,
      )
    }
    return this.label(after)
  }

  /** Calls Xen; arguments as it wants them (RDI RSI RDX R10 R8 R9). Result in RAX. */
  hypercall(number: number, ...args: readonly Argument[]): this {
    for (const [i, argument] of args.entries())
      this.emit('MOV', (['rdi', 'rsi', 'rdx', 'r10', 'r8', 'r9'] as const)[i]!, argument)
    return this.emit('MOV', 'eax', number).call('hypercall')
  }

  /** Installs a handler: `body` runs with RDI at the frame (FRAME) on interrupts and exceptions of a vector. */
  handler(vector: number, body: () => void): this {
    const routine = this.unique('handler')
    const after = this.unique('after')
    this.emit('PUSH', 'rax')
      .emit('MOV', 'eax', label(routine))
      .emit('MOV', mem({ disp: label('handlers', 8 * vector) }), 'rax')
    this.emit('POP', 'rax').jmp(after).label(routine)
    body()
    return this.emit('RET').label(after)
  }

  /** Interrupts on for a while, with branches in it, then off. */
  takeInterrupts(): this {
    const again = this.unique('window')
    this.emit('PUSH', 'rcx')
      .emit('MOV', 'ecx', 2000)
      .emit('STI')
      .label(again)
      .emit('DEC', 'ecx')
      .jcc('NZ', again)
    return this.emit('CLI').emit('POP', 'rcx')
  }

  /** To ring 3, 64-bit, at a label; interrupts off. */
  enterUser(to: string, selector: number = SELECTOR.userCode): this {
    this.emit('PUSH', SELECTOR.userData)
      .emit('MOV', 'eax', label('user_stack'))
      .emit('PUSH', 'rax')
      .emit('PUSH', 2)
    return this.emit('PUSH', selector).emit('MOV', 'eax', label(to)).emit('PUSH', 'rax').emit('IRETQ')
  }

  /** Rewrites a page-table entry of the playground: flags of the page number `page`, and flushes it. */
  playgroundFlags(page: number, flags: number, noExecute = false): this {
    this.emit('MOV', 'eax', label('playground_frames', 4096 * page))
    if (flags !== 0) this.emit('OR', 'eax', flags)
    if (noExecute) this.emit('BTS', 'rax', 63)
    this.emit('MOV', mem({ disp: label('playground_pt', 8 * page) }), 'rax')
    return this.emit('INVLPG', mem({ disp: PLAYGROUND + 4096 * page }))
  }

  emitStrings(): this {
    for (const [text, name] of this.#strings) this.label(name).ascii(`${text}\0`)
    return this
  }
}
