/** The format of the case files that `npm run conformance` reads, and what running one gives. */

export type Kind =
  | 'cfg'
  | 'disk'
  | 'rate'
  | 'pci'
  | 'rdm'
  | 'vdev'
  | 'vif'
  | 'domain'
  | 'vif-attach'
  | 'cpus'
  | 'mem'
  | 'xl'

/** One case: an input, and what the real Xen 4.17 made of it. */
export interface Case {
  readonly name: string
  readonly kind: Kind
  readonly input?: unknown
  /** In place of `input` where the bytes are not UTF-8. */
  readonly input_b64?: string
  /** Whether Xen accepted it. */
  readonly ok: boolean
  readonly parsed?: unknown
  readonly error?: string
  readonly exit?: number
  /** The real program died of this signal: any refusal is right. */
  readonly crash?: string
}

/** What our own code makes of a case's input, in the words of the case files. */
export interface Outcome {
  readonly ok: boolean
  readonly parsed?: unknown
  /** Codes of all problems: by them deliberate differences are recognised. */
  readonly codes: readonly string[]
  readonly error?: string
  readonly exit?: number
  /** Of refused `cfg` input: where the first fault is, and its text. */
  readonly fault?: { readonly line: number; readonly near: string }
}

/** The text of a case's file; bytes that are not UTF-8 stand as U+DC80 to U+DCFF, as everywhere in xt. */
export function inputText({ input, input_b64 }: Case, decode: (bytes: Uint8Array) => string): string {
  return input_b64 === undefined ? String(input) : decode(Buffer.from(input_b64, 'base64'))
}
