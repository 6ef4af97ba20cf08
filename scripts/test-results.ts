/**
 * Reads what one test file prints (TAP, https://testanything.org/tap-version-14-specification.html) and how it ended.
 * A test case is what the file calls with `t.test`; what lies deeper is kept as text, for the report of a failure.
 */

export interface FileResult {
  readonly file: string
  readonly seconds: number
  readonly passed: number
  /** Names of the test cases that failed; of the file itself if it failed outside of them (crash, time-out). */
  readonly failed: readonly string[]
  readonly skipped: readonly { readonly name: string; readonly reason: string }[]
  /** All that was printed about what failed. */
  readonly report: string
}

/** How a test file's process ended. */
export interface FileEnd {
  readonly seconds: number
  readonly status: number | null
  readonly signal: string | null
  readonly stderr: string
}

const POINT = /^(ok|not ok) \d+(?: - (.*?))?(?: # time=[\d.]+ms)?(?: \{)?$/
const DIRECTIVE = /^(.*?) ?# (?:SKIP|TODO)\b ?(.*)$/i
/** A plan of no tests, with the reason for that. */
const EMPTY_PLAN = /^1\.\.0(?: # (?:SKIP\b)? ?(.*))?$/i
const NO_REASON = 'no reason given'

/** The result of `file`, which printed `stdout`. */
export function readResult(file: string, stdout: string, end: FileEnd): FileResult {
  let passed = 0
  const failed: string[] = []
  const skipped: { name: string; reason: string }[] = []
  const report: string[] = []
  const isGood = end.status === 0
  let chunk: string[] = []
  let isBad = false
  const endChunk = () => {
    if (isBad) report.push(...chunk)
    chunk = []
    isBad = false
  }
  for (const line of stdout.split('\n')) {
    if (line.startsWith('# Subtest: ')) endChunk()
    chunk.push(line)
    const empty = isGood ? EMPTY_PLAN.exec(line) : null
    if (empty !== null) skipped.push({ name: file, reason: plain(empty[1]) || NO_REASON })
    const [, verdict, text] = POINT.exec(line) ?? []
    if (verdict === undefined) continue
    const [, name, reason] = DIRECTIVE.exec(text ?? '') ?? []
    if (name !== undefined) skipped.push({ name: plain(name), reason: plain(reason) || NO_REASON })
    else if (verdict === 'ok') passed++
    else {
      failed.push(plain(text))
      isBad = true
    }
  }
  const isEmpty = passed + failed.length + skipped.length === 0
  if ((!isGood && failed.length === 0) || isEmpty) {
    failed.push(file)
    isBad = true
  }
  endChunk()
  if (!isGood) report.push(how(end), end.stderr)
  else if (isEmpty) report.push('no test ran')
  return { file, seconds: end.seconds, passed, failed, skipped, report: report.join('\n').trimEnd() }
}

const how = ({ status, signal }: FileEnd): string =>
  signal === null ? `exit status ${status}` : `ended by ${signal}`

/** TAP writes `#` and `\` of a text with a backslash before. */
const plain = (text = ''): string => text.replace(/\\([#\\])/g, '$1')
