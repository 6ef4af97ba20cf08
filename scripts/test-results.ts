/**
 * Reads what `tap --reporter=tap` prints (https://testanything.org/tap-version-14-specification.html) into one result
 * per test file. A test case is what a file calls with `t.test`: a test point one level below the file. What lies
 * deeper is kept as text, for the report of a failure.
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

const POINT = /^( {0,4})(ok|not ok) \d+(?: - (.*?))?(?: # time=([\d.]+)ms)?(?: \{)?$/
const DIRECTIVE = /^(.*?) ?# (SKIP|TODO)\b ?(.*)$/i
const CASE_STARTS = /^ {4}# Subtest: /

/** Takes tap's output line by line; calls `onFile` when a file is over. */
export class TestResults {
  readonly #onFile: (result: FileResult) => void
  #passed = 0
  #failed: string[] = []
  #skipped: { name: string; reason: string }[] = []
  #report: string[] = []
  /** Lines of the test case under way, and whether it failed. */
  #chunk: string[] = []
  #isBad = false
  /** A file that is over but for its details, which are the indented lines that follow. */
  #over: { result: Omit<FileResult, 'report'>; report: string[] } | undefined

  constructor(onFile: (result: FileResult) => void) {
    this.#onFile = onFile
  }

  line(line: string): void {
    if (this.#over !== undefined) {
      if (line.startsWith('  ') && !line.startsWith('    #')) {
        this.#over.report.push(line)
        return
      }
      this.end()
    }
    if (CASE_STARTS.test(line)) this.#endChunk()
    this.#chunk.push(line)
    const point = POINT.exec(line)
    if (point === null) return
    const [, indent, verdict, text = '', ms = '0'] = point
    if (indent === '') this.#endFile(verdict === 'ok', text, Number(ms) / 1000)
    else if (indent?.length === 4) this.#case(verdict === 'ok', text)
  }

  /** Nothing more comes. */
  end(): void {
    if (this.#over === undefined) return
    const { result, report } = this.#over
    this.#over = undefined
    this.#onFile({ ...result, report: result.failed.length > 0 ? report.join('\n') : '' })
  }

  #case(isGood: boolean, text: string): void {
    const [, name = '', , reason = ''] = DIRECTIVE.exec(text) ?? []
    if (DIRECTIVE.test(text)) this.#skipped.push({ name, reason: reason || 'no reason given' })
    else if (isGood) this.#passed++
    else {
      this.#failed.push(text)
      this.#isBad = true
    }
  }

  #endChunk(): void {
    if (this.#isBad) this.#report.push(...this.#chunk)
    this.#chunk = []
    this.#isBad = false
  }

  #endFile(isGood: boolean, text: string, seconds: number): void {
    const [, name, , reason] = DIRECTIVE.exec(text) ?? []
    const file = name ?? text
    if (reason !== undefined) this.#skipped.push({ name: file, reason: reason || 'no reason given' })
    if (!isGood && this.#failed.length === 0) {
      this.#failed.push(file)
      this.#isBad = true
    }
    this.#endChunk()
    const result = { file, seconds, passed: this.#passed, failed: this.#failed, skipped: this.#skipped }
    this.#over = { result, report: this.#report }
    this.#passed = 0
    this.#failed = []
    this.#skipped = []
    this.#report = []
  }
}
