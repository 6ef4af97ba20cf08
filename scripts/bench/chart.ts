/** The chart of the last results, docs/benchmark.svg: a bar per row, xt's time over QEMU's on a logarithmic scale. Pure. */
import { judgedRatio, machineLine, type Results, type RowResult } from './report.ts'

const WIDTH = 860
const LABEL_WIDTH = 300
const VALUE_WIDTH = 70
const ROW_HEIGHT = 26
const TOP = 64
const BOTTOM = 54
/** Ratios at the ends of the scale; what lies beyond is cut off, its number is written anyway. */
const [LEAST, MOST] = [0.25, 16]
const LINES = [0.25, 0.5, 1, 2, 4, 8, 16]

const x = (ratio: number): number => {
  const share = Math.log(Math.min(MOST, Math.max(LEAST, ratio)) / LEAST) / Math.log(MOST / LEAST)
  return Math.round((LABEL_WIDTH + share * (WIDTH - LABEL_WIDTH - VALUE_WIDTH)) * 10) / 10
}
const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
const text = (at: number, y: number, words: string, attributes = ''): string =>
  `<text x="${at}" y="${y}"${attributes}>${escaped(words)}</text>`

/** The whole file. Rows without a ratio (no QEMU) have no bar. */
export function chart(results: Results): string {
  const rows = results.rows.filter((row) => !Number.isNaN(judgedRatio(row) ?? Number.NaN))
  const bottom = TOP + rows.length * ROW_HEIGHT
  const height = bottom + BOTTOM
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="13" role="img" aria-label="Time of xt over time of QEMU, by row">
<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>
${text(16, 24, 'Time of xt ÷ time of QEMU’s translator (TCG)', ' font-size="16" font-weight="bold"')}
${text(16, 43, 'CPU seconds, medians; shorter is better; the mark is the target', ' fill="#57606a"')}
${LINES.map((ratio) => gridLine(ratio, bottom)).join('\n')}
${rows.map(bar).join('\n')}
${text(16, height - 12, machineLine(results), ' fill="#57606a" font-size="11"')}
</svg>
`
}

function gridLine(ratio: number, bottom: number): string {
  const stroke = ratio === 1 ? '#57606a' : '#d0d7de'
  return (
    `<line x1="${x(ratio)}" y1="${TOP - 6}" x2="${x(ratio)}" y2="${bottom}" stroke="${stroke}"/>` +
    text(x(ratio), bottom + 16, `${ratio}`, ' text-anchor="middle" fill="#57606a" font-size="11"')
  )
}

function bar(row: RowResult, index: number): string {
  const ratio = judgedRatio(row)!
  const y = TOP + index * ROW_HEIGHT
  const met = row.target === undefined || ratio <= row.target
  const mark =
    row.target === undefined
      ? ''
      : `<line x1="${x(row.target)}" y1="${y}" x2="${x(row.target)}" y2="${y + 20}" stroke="#1f2328" stroke-width="3"/>`
  return (
    text(LABEL_WIDTH - 10, y + 14, row.title, ' text-anchor="end"') +
    `<rect x="${LABEL_WIDTH}" y="${y + 3}" width="${Math.max(1, x(ratio) - LABEL_WIDTH)}" height="14" fill="${met ? '#2da44e' : '#bf8700'}"/>` +
    mark +
    text(Math.max(x(ratio), x(row.target ?? 0)) + 8, y + 14, ratio.toFixed(2))
  )
}
