/** The exit part that serves a compared machine's rings (machine.ts): everything around the guest happens here, at moments of its own clock. */
import type { CreateVcpuExits } from '../../src/base/vcpu.ts'

export interface Service {
  /** System time in ns at which `serve` is called next. */
  deadline: number
  serve(nowNs: number): void
  started(): void
}

export default ((_vcpu, data) => {
  const service = data as Service
  return {
    deadline: () => service.deadline,
    expire: (nowNs) => service.serve(nowNs),
    runstate: (state) => {
      if (state === 'running') service.started()
    },
  }
}) satisfies CreateVcpuExits
