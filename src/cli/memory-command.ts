/** What `xt mem-set` and `xt mem-max` have in common. */
import { string } from '@oclif/core/args'
import { parseMemorySize } from '../config/specs/size.ts'
import { domainArg, XtCommand } from './command.ts'
import { cliErrors } from './errors.ts'

/** oclif's parser looks at a command's own arguments only, not at inherited ones. */
export const memoryArgs = {
  domain: domainArg,
  size: string({ required: true, ignoreStdin: true, description: 'MiB, or a number with b, k, m, g or t' }),
}

export abstract class MemoryCommand extends XtCommand {
  /** Throws XT_MEMORY_SIZE for text that is no size, or no memory at all. */
  protected kibOf(size: string): number {
    const kib = parseMemorySize(size)
    if (kib === undefined || kib <= 0n || kib > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw cliErrors.XT_MEMORY_SIZE(size)
    }
    return Number(kib)
  }
}
