/**
 * The mistakes a configuration can hold, as data, and the error that carries all of them at once.
 *
 * A row is used for errors and warnings alike; which of the two a problem is says the problem. `exit` is xl's
 * status where xl has another than 1.
 */
import { defineErrors, XtError } from '../base/errors.ts'

export const configErrors = defineErrors({
  XT_CONFIG_LEXICAL: {
    title: 'Text that is no part of the language',
    message: (text: string) => `\`${text}' is not understood here`,
    hint: (text: string) => lexicalAdvice(text),
  },
  XT_CONFIG_SYNTAX: {
    title: 'A token in the wrong place',
    message: (found: string, expected: string) => `unexpected ${found}, expected ${expected}`,
  },
  XT_CONFIG_ESCAPE: {
    title: 'An escape that strings do not have',
    message: (sequence: string) => `\`${sequence}' is no escape`,
    hint: 'Escapes are \\\\ \\" \\\' \\a \\b \\f \\n \\r \\t \\v; a backslash itself is written \\\\.',
  },
  XT_CONFIG_NUMERIC_ESCAPE: {
    title: 'An escape by number that yields nothing',
    message: (sequence: string) => `\`${sequence}' yields no character`,
    hint: 'xl drops escapes by number; write the character itself.',
  },
  XT_CONFIG_NUL: {
    title: 'A NUL character in a string',
    message: () => 'a string cannot hold a NUL character',
  },
  XT_CONFIG_MIXED_APPEND: {
    title: 'A list appended to a string, or a string to a list',
    message: (name: string, was: string, added: string) =>
      `\`${name}' is a ${was}, a ${added} cannot be added to it`,
  },
  XT_CONFIG_TOO_DEEP: {
    title: 'Lists nested too deep',
    message: (limit: number) => `lists are nested more than ${limit} deep`,
  },
  XT_CONFIG_CRLF: {
    title: 'Line ends of another system',
    message: () => 'the lines end in CR LF; xl itself refuses such a file',
    hint: 'Save it with plain line feeds.',
  },
  XT_CONFIG_OPEN_COMMENT: {
    title: 'A last comment without a newline',
    message: () => 'the file ends in a comment without a newline; xl itself refuses such a file',
    hint: 'End the last line.',
  },
  XT_CONFIG_STRAY_END: {
    title: 'A stray character at the very end',
    message: (text: string) => `the last character, \`${text}', is ignored`,
    hint: 'Remove it.',
  },
  XT_CONFIG_LIST_FOR_VALUE: {
    title: 'A list where a single value belongs',
    message: (key: string) => `\`${key}' takes a single value, not a list; ignored`,
  },
  XT_CONFIG_VALUE_FOR_LIST: {
    title: 'A single value where a list belongs',
    message: (key: string) => `\`${key}' takes a list; ignored`,
    hint: (key: string) => `Write ${key} = [ ... ].`,
  },
  XT_CONFIG_LIST_CUT_SHORT: {
    title: 'A list inside a list of strings',
    message: (key: string) => `the list of \`${key}' ends here: its items are strings, not lists`,
  },
  XT_CONFIG_NOT_A_NUMBER: {
    title: 'Something else where a number belongs',
    message: (key: string, text: string) => `\`${key}' takes a number, not \`${text}'; ignored`,
    hint: (_key: string, text: string) => numberAdvice(text),
  },
  XT_CONFIG_NUMBER_RANGE: {
    title: 'A number beyond 64 bits',
    message: (key: string) => `the number for \`${key}' is out of range; ignored`,
  },
  XT_CONFIG_APPENDED_NUMBER: {
    title: 'A number made with +=',
    message: (key: string) => `\`${key}' takes a number, and += cannot make one; ignored`,
    hint: (key: string) => `Write ${key} = N.`,
  },
  XT_CONFIG_SPEC: {
    title: 'A device or other spec that cannot be read',
    message: (key: string, what: string, near: string, _hint?: string) => `${key}: ${what}: near \`${near}'`,
    hint: (_key: string, _what: string, _near: string, hint = '') => hint,
  },
  XT_CONFIG_SPEC_DOUBT: {
    title: 'A part of a spec that is probably not what was meant',
    message: (key: string, what: string, near: string, _hint?: string) => `${key}: ${what}: near \`${near}'`,
    hint: (_key: string, _what: string, _near: string, hint = '') => hint,
  },
  XT_CONFIG_VALUE: {
    title: 'A value that a key does not take',
    message: (key: string, value: string, allowed: string) =>
      `\`${key}' cannot be \`${value}': it takes ${allowed}`,
  },
  XT_CONFIG_UNKNOWN_WORD: {
    title: 'A word that libxl does not know',
    message: (key: string, value: string, allowed: string) =>
      `\`${key}' cannot be \`${value}': it takes ${allowed}`,
    exit: 3,
  },
  XT_CONFIG_PCI: {
    title: 'A PCI device that cannot be read',
    message: (key: string, what: string, near: string, _hint?: string) => `${key}: ${what}: near \`${near}'`,
    hint: (_key: string, _what: string, _near: string, hint = '') => hint,
    exit: 6,
  },
  XT_CONFIG_NO_CPUS: {
    title: 'An affinity that leaves no CPU',
    message: (text: string) => `\`cpus': no CPU of this host is in \`${text}'`,
    hint: 'A set starts empty: "all,^1" is all but CPU 1.',
  },
  XT_CONFIG_TOO_MANY: {
    title: 'More devices than any guest has',
    message: (key: string, most: number) => `\`${key}' has more than ${most} items`,
  },
  XT_CONFIG_NOT_A_LIST: {
    title: 'A key that takes nothing but a list',
    message: (key: string) => `\`${key}' takes a list`,
    hint: (key: string) => `Write ${key} = [ ... ].`,
    exit: 3,
  },
  XT_CONFIG_TIMER_MODE_PV: {
    title: 'timer_mode for a PV guest',
    message: () => "`timer_mode' is not for PV guests",
    exit: 3,
  },
  XT_CONFIG_NESTED_LIST: {
    title: 'A list where a string belongs',
    message: (key: string) => `the items of \`${key}' are strings, not lists`,
  },
  XT_CONFIG_DEPRECATED: {
    title: 'A spelling that has been replaced',
    message: (key: string, advice: string) => `\`${key}': ${advice}`,
  },
  XT_CONFIG_CONFLICT: {
    title: 'Two settings that contradict each other',
    message: (key: string, other: string) => `\`${key}' contradicts \`${other}'`,
  },
  XT_CONFIG_OVERRULED: {
    title: 'A setting that another one overrules',
    message: (key: string, other: string) => `\`${key}' is ignored: \`${other}' is given`,
  },
  XT_CONFIG_MISSING: {
    title: 'A key without which no guest can be made',
    message: (key: string) => `\`${key}' is missing`,
  },
  XT_CONFIG_NO_KERNEL: {
    title: 'Nothing to boot',
    message: () => "neither `kernel' nor `bootloader' is given",
    hint: 'Name the kernel: kernel = "/boot/vmlinuz-...".',
  },
  XT_CONFIG_UNKNOWN_KEY: {
    title: 'A key that xl does not have',
    message: (key: string, _nearest?: string) => `unknown key \`${key}'; ignored`,
    hint: (_key: string, nearest = '') => (nearest === '' ? '' : `Did you mean \`${nearest}'?`),
  },
  XT_CONFIG_NO_EFFECT: {
    title: 'A key that has no effect here',
    message: (key: string) => `\`${key}' has no effect in xt`,
  },
  XT_CONFIG_OTHER_GUEST: {
    title: 'A key for another type of guest',
    message: (key: string, type: string) => `\`${key}' has no effect for ${type.toUpperCase()} guests`,
  },
  XT_CONFIG_NOT_HERE: {
    title: 'Something that xt does not have',
    message: (key: string, what: string) => `\`${key}': ${what}`,
  },
  XT_CONFIG_GUEST_TYPE: {
    title: 'A type of guest that cannot be run',
    message: (type: string) => `${type.toUpperCase()} guests cannot be run`,
    hint: (type: string) =>
      type === 'pv'
        ? 'Most kernels that boot as PV boot as PVH too: set type = "pvh".'
        : 'Guests with a kernel of their own can be PVH: set type = "pvh" and kernel = "...".',
  },
  XT_CONFIG_OUT_OF_BOUNDS: {
    title: 'A number that no guest can have',
    message: (key: string, allowed: string) => `\`${key}' must be ${allowed}`,
  },
  XT_CONFIG_SCHEMA: {
    title: 'A value that the configuration cannot have',
    message: (key: string, what: string) => `\`${key}' ${what}`,
  },
  XT_CONFIG_DUPLICATE_DISK: {
    title: 'Two disks of one name',
    message: (vdev: string) => `two disks are called \`${vdev}'`,
  },
  XT_CONFIG_DISK_NAME: {
    title: 'A disk name that means nothing',
    message: (vdev: string) => `\`${vdev}' is no disk name`,
    hint: (vdev: string) =>
      /^d[0-9]+$/.test(vdev) ? `Write ${vdev}p0.` : 'Disks are called xvda, xvdb ...; partitions xvda1.',
  },
  XT_CONFIG_FILE: {
    title: 'A configuration file that cannot be read',
    message: (file: string, reason: string) => `Failed to read config file: ${file}: ${reason}`,
    exit: 3,
  },
  XT_CONFIG_SETTINGS: {
    title: "A file with xt's own settings that cannot be used",
    message: (file: string, what: string) => `${file}: ${what}`,
  },
  XT_CONFIG_NOT_UTF8: {
    title: 'Bytes that are not UTF-8',
    message: () => 'the text is not UTF-8 here',
    hint: 'Save the file as UTF-8; names of files on the host must be UTF-8 too.',
  },
})

/** What a person most likely meant by a word that the lexer refused. */
function lexicalAdvice(text: string): string {
  if (text.startsWith('\ufeff')) return 'The file starts with a byte order mark: save it without.'
  if (/^["']/.test(text)) return 'The string has no closing quote on its line.'
  if (/^[+-]\d/.test(text)) return 'Put a number with a sign in quotes: "-5".'
  if (/^[/.~]/.test(text)) return 'Put a path in quotes.'
  if (/^[A-Z_]/.test(text)) return 'Names of settings are lower case; text belongs in quotes.'
  if (text.startsWith('//')) return 'A comment starts with #.'
  if (/^[+(:.-]/.test(text)) return 'This looks like Python; xl files are plain settings, name = value.'
  if (/^[\u0080-\uffff]/.test(text)) return 'Only strings and comments may hold other characters than ASCII.'
  return 'Put text in quotes.'
}

/** What a person most likely meant by text that is no number. */
function numberAdvice(text: string): string {
  if (/^\d+\s*[kmgt]b?$/i.test(text)) return 'Sizes are plain numbers, in MiB unless the key says otherwise.'
  if (/^(yes|no|true|false|on|off)$/i.test(text)) return 'Booleans are written 1 and 0.'
  return 'Numbers are decimal, 0x hexadecimal or 0 octal.'
}

export type ProblemCode = keyof typeof configErrors.rows

/** One thing that is wrong, or doubtful, in a configuration: what, where, and the line it stands in. Plain data. */
export interface ConfigProblem {
  /** A note says that a key has no effect; it is never more than a note. */
  readonly severity: 'error' | 'warning' | 'note'
  readonly code: ProblemCode
  readonly message: string
  readonly hint?: string
  /** The file name as given, or `command line`. */
  readonly source: string
  /** Both count from 1. */
  readonly line: number
  readonly column: number
  /** The piece of text that is the matter, as xl's messages quote it; may be empty (the end of the text). */
  readonly near: string
  /** The line, cut to a readable length, and where in it (in characters from 0) the matter starts. */
  readonly excerpt: string
  readonly caret: number
  /** Offset in the parsed text, for sorting. */
  readonly at: number
}

/** A configuration that cannot be used. `problems` holds every error and warning, in order of their places. */
export class ConfigError extends XtError {
  readonly problems: readonly ConfigProblem[]

  constructor(problems: readonly ConfigProblem[]) {
    const errors = problems.filter((problem) => problem.severity === 'error')
    const first = errors[0]!
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''
    super(first.code, `${first.source}:${first.line}:${first.column}: ${first.message}${more}`, {
      hint: first.hint,
      exit: (configErrors.rows as Record<string, { exit?: number }>)[first.code]?.exit,
    })
    this.problems = problems
  }
}
