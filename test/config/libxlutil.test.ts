/** Random inputs, judged by Xen's own libxlutil where its development files and a compiler are installed. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { decodeText } from '../../src/config/load.ts'
import { Problems } from '../../src/config/problem.ts'
import { Settings } from '../../src/config/settings.ts'
import { parseDisk } from '../../src/config/specs/disk.ts'
import { parsePci } from '../../src/config/specs/pci.ts'
import { parseRate } from '../../src/config/specs/rate.ts'
import type { Value } from '../../src/config/xl/ast.ts'
import { parseSettings } from '../../src/config/xl/parser.ts'
import { Source } from '../../src/config/xl/source.ts'

/** What either side says: nothing if it refuses. */
type Answer = unknown

const INPUTS = 1500
const SEED = 20
const source = fileURLToPath(new URL('libxlutil/judge.c', import.meta.url))
const hasCompiler = spawnSync('cc', ['--version']).status === 0
const missing = !existsSync('/usr/include/libxlutil.h')
  ? 'libxen-dev is not installed'
  : hasCompiler
    ? undefined
    : 'there is no C compiler'
const options = missing === undefined ? {} : { skip: missing }

/** The answers of libxlutil; undefined where it crashed. */
function askXen(judge: string, kind: string, inputs: readonly string[]): readonly (Answer | undefined)[] {
  const stdin = inputs.flatMap((input) => {
    const bytes = Buffer.from(input)
    return [Buffer.from(`${kind} ${bytes.length}\n`), bytes]
  })
  const lines = execFileSync(judge, { input: Buffer.concat(stdin), maxBuffer: 1 << 28 })
    .toString('latin1')
    .trim()
    .split('\n')
  return lines.map((line) => {
    const answer = JSON.parse(line, (_, item) =>
      typeof item === 'string' ? decodeText(Buffer.from(item, 'latin1')) : item,
    )
    return answer === null ? undefined : answer.ok ? answer.parsed : null
  })
}

function sample(pieces: readonly string[], separators: readonly string[], most: number): readonly string[] {
  const input = fc
    .tuple(
      fc.array(fc.constantFrom(...pieces), { minLength: 1, maxLength: most }),
      fc.constantFrom(...separators),
    )
    .map(([parts, separator]) => parts.join(separator))
  // One seed for all: a run that fails can be repeated.
  return fc.sample(input, { numRuns: INPUTS, seed: SEED })
}

/** Compares all answers; what xt takes with a warning though Xen refuses it is named by `kinder`. */
function compare(
  t: Test,
  kind: string,
  inputs: readonly string[],
  ask: (input: string) => Answer,
  kinder = (_input: string) => false,
) {
  const judge = join(t.testdir({}), 'judge')
  execFileSync('cc', ['-o', judge, source, '-lxlutil', '-lxenlight'])
  const answers = askXen(judge, kind, inputs)
  const different = inputs.flatMap((input, i) => {
    const [xen, xt] = [answers[i], ask(input)]
    if (xen === undefined || (xen === null && kinder(input))) return []
    return JSON.stringify(xen) === JSON.stringify(xt) ? [] : [{ input, xen, xt }]
  })
  t.same(different.slice(0, 5), [])
  t.ok(
    answers.some((answer) => answer !== null && answer !== undefined),
    'some inputs are accepted',
  )
}

const plain = (value: Value): unknown => (value.kind === 'atom' ? value.text : value.items.map(plain))

function readCfg(text: string): { readonly answer: Answer; readonly codes: readonly string[] } {
  const from = new Source(text, 'test.cfg')
  const problems = new Problems(from)
  const settings = parseSettings(from.text, problems)
  const codes = problems.list.map(({ code }) => code)
  if (problems.hasErrors) return { answer: null, codes }
  const entries = ['a', 'b', 'memory', 'x.y'].flatMap((name) => {
    const setting = settings.get(name)
    if (setting === undefined) return []
    const number = new Settings(settings, new Problems(from)).number(name)
    return [[name, [plain(setting.value), number === undefined ? null : String(number)]]]
  })
  return { answer: Object.fromEntries(entries), codes }
}

t.test('random files mean here what they mean to libxlutil', options, async (t) => {
  const pieces = [
    'a=1\n',
    'b=["x","y"]\n',
    'a+="z"\n',
    'a+=[1]\n',
    'memory=0x10;',
    'x.y = 089 # c\n',
    'b=[\n1 ,\n# c\n[2],]\n',
    'a="\\101b"\n',
    'memory+=5\n',
    'a=" 5"\n',
    'a',
    '=',
    '+=',
    '"s"',
    "'t'",
    '"',
    "'",
    '\\',
    '[',
    ']',
    ',',
    ';',
    '\n',
    ' ',
    '\t',
    '#',
    '# c\n',
    '-5',
    'X',
    'é',
    '"\\x41"',
    '"\\7"',
    '(',
    ':',
    '!',
    '\f',
    '\r',
    '99999999999999999999',
  ]
  const kinder = (input: string) =>
    readCfg(input).codes.some((code) => code === 'XT_CONFIG_CRLF' || code === 'XT_CONFIG_OPEN_COMMENT')
  compare(t, 'c', sample(pieces, [''], 6), (input) => readCfg(input).answer, kinder)
})

t.test('random disk specs mean here what they mean to libxlutil', options, async (t) => {
  const pieces = [
    '/a',
    'raw',
    'xvda',
    'w',
    'r',
    'ro',
    '',
    'cdrom',
    'cdrom ',
    'target=/b,c',
    'vdev=hdc',
    'vdev=',
    'format=qcow2',
    'format=',
    'access=ro',
    'file:/x',
    'phy:',
    'raw:',
    'tap:aio:/y',
    'nbd:h',
    'foo:',
    'foo:/x',
    'hdc:cdrom',
    'hdc:x',
    ':',
    '=',
    ' ',
    '\n',
    'backend=1',
    'backendtype=phy',
    'backendtype=qdisk',
    'script=s',
    'direct-io-safe',
    'unknown=1',
    'un_k=1',
    'devtype=disk',
    'é',
  ]
  const ask = (input: string): Answer => {
    const disk = parseDisk(input).value
    if (disk === undefined) return null
    const {
      target = null,
      vdev = null,
      backend = null,
      script = null,
      format,
      backendtype = 'unknown',
    } = disk
    const flags = [disk.readwrite, disk.removable, disk.cdrom, disk.directIoSafe].map(Number)
    return [target, vdev, backend, script, format, backendtype, ...flags]
  }
  compare(t, 'd', sample(pieces, [',', ',', ', ', ''], 5), ask)
})

t.test('random rates mean here what they mean to libxlutil', options, async (t) => {
  const pieces = [
    '1',
    '10',
    '0',
    '08',
    '010',
    '4294967295',
    '4294967296',
    'K',
    'M',
    'G',
    'k',
    'b/s',
    'B/s',
    'KB/s',
    'Mb/s',
    '@',
    '@1ms',
    '@5',
    '@9us',
    's',
    ' ',
  ]
  const ask = (input: string): Answer => {
    const rate = parseRate(input).value
    return rate === undefined ? null : [String(rate.bytesPerInterval), rate.intervalUs]
  }
  compare(t, 'r', sample(pieces, [''], 3), ask)
})

t.test('random PCI specs mean here what they mean to libxlutil', options, async (t) => {
  const pieces = [
    '03:00.0',
    '0000:af:1d.7',
    '1:',
    '20',
    '.',
    '*',
    '@1f',
    '@20',
    ',',
    'permissive=1',
    'seize=no',
    'name=n',
    'bdf=1:2.3',
    'vslot=3',
    'x=1',
    ' ',
    '10000:',
    'g',
  ]
  const ask = (input: string): Answer => {
    const pci = parsePci(input).value
    if (pci === undefined) return null
    const numbers = ['domain', 'bus', 'dev', 'func', 'vdevfn', 'vfunc_mask', 'permissive', 'seize'].map(
      (name) => Number(pci[name] ?? 0),
    )
    return [...numbers, pci['name'] ?? null]
  }
  compare(t, 'p', sample(pieces, ['', ','], 4), ask)
})
