/** What runs in each vCPU's thread: collects bytes of a port into lines of the log. */
import type { CreateVcpuExits } from 'xt/plugin'

/** GUEST: what the guest writes is kept up to here. */
const LONGEST_LINE = 1000

const createExits: CreateVcpuExits = (vcpu, greeting) => {
  let line = ''
  const flush = () => {
    if (line !== '') vcpu.log.info(`${greeting}: the guest says ${JSON.stringify(line)}`)
    line = ''
  }
  return {
    portIn: () => 0xe9,
    portOut(_port, _width, value) {
      if ((value & 0xff) === 0x0a) return flush()
      line += String.fromCharCode(value & 0xff)
      if (line.length === LONGEST_LINE) flush()
    },
  }
}

export default createExits
