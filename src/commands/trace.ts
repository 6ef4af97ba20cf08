import { boolean, integer, string } from '@oclif/core/flags'
import { domainArg, XtCommand } from '../cli/command.ts'
import { cliErrors } from '../cli/errors.ts'
import { watchOutputReader } from '../cli/output-reader.ts'
import type { ControlClient } from '../engine/control.ts'
import { connectDomain, findDomain } from '../engine/domains.ts'
import { TRACE_KINDS, type TraceLine, type TraceWish } from '../engine/trace-line.ts'

export default class Trace extends XtCommand {
  static override summary = 'Show what happens in a domain, as it happens.'
  static override description =
    `Hypercalls, events, what the guest asks of the store, and what it asks of devices over their rings.
Ends with Ctrl-C, or with the domain. What comes faster than it can be shown is counted, not kept.`
  static override enableJsonFlag = false
  static override args = { domain: domainArg }
  static override flags = {
    kind: string({ helpValue: 'KIND,...', summary: `Only these kinds: ${TRACE_KINDS.join(', ')}.` }),
    device: string({
      helpValue: 'TYPE/ID',
      summary: 'Only this device, e.g. vbd/51712, console/0, xenstore.',
    }),
    count: integer({ char: 'n', min: 1, helpValue: 'N', summary: 'End after N lines.' }),
    json: boolean({ summary: 'Each line is a JSON object.' }),
  }
  static override examples = [
    '<%= config.bin %> trace guest',
    '<%= config.bin %> trace guest --kind store,event',
    '<%= config.bin %> trace guest --device vbd/51712 --json',
  ]

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Trace)
    const kinds = flags.kind?.split(',') ?? []
    const unknown = kinds.find((kind) => !(TRACE_KINDS as readonly string[]).includes(kind))
    if (unknown !== undefined) throw cliErrors.XT_TRACE_KIND(unknown, TRACE_KINDS)
    const wish = { kinds, ...(flags.device === undefined ? {} : { device: flags.device }) }
    using client = await connectDomain(await findDomain(this.paths, args.domain))
    await this.#show(client, wish, flags.count ?? Number.POSITIVE_INFINITY, flags.json)
  }

  async #show(client: ControlClient, wish: TraceWish, count: number, json: boolean): Promise<void> {
    await watchOutputReader()
    const session = await client.traceOpen(wish)
    const startMs = Date.now()
    this.note('Tracing; Ctrl-C ends it.')
    const print = json
      ? (line: TraceLine) => JSON.stringify(line)
      : (line: TraceLine) => textOf(line, startMs)
    let isOver = false
    void client.closed.then(() => {
      isOver = true
    })
    for (let left = count; left > 0 && !isOver; ) {
      const answer = await client.traceFetch(session).catch((error: unknown) => {
        // The end of the domain is the end of what there is to see.
        if (isOver) return null
        throw error
      })
      if (answer === null) break
      const lines = answer.lines.slice(0, left)
      left -= lines.length
      process.stdout.write(lines.map((line) => `${print(line)}\n`).join(''))
      if (answer.dropped > 0) this.note(`${answer.dropped} records were lost`)
    }
    if (!isOver) await client.traceClose(session)
  }
}

function textOf({ timeMs, kind, source, device, text }: TraceLine, startMs: number): string {
  const seconds = ((timeMs - startMs) / 1000).toFixed(6).padStart(11)
  return `${seconds} ${source.padEnd(7)} ${kind.padEnd(9)} ${device === undefined ? '' : `${device} `}${text}`
}
