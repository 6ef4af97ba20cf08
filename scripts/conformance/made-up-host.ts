/** Loaded before `xt` in cases of kind `xl`: the host on which they were made, of 8 CPUs and 16 GiB, in place of this one. */
import { syncBuiltinESMExports } from 'node:module'
import os from 'node:os'

const [cpu] = os.cpus()
os.totalmem = () => 16 * 2 ** 30
os.cpus = () => Array.from({ length: 8 }, () => cpu!)
syncBuiltinESMExports()
