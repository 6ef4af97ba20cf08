/** sched.h: scheduling operations and the reasons of a shutdown. */
import { constants, handle, struct, u16, u32, u64 } from './struct.ts'

const H = 'sched.h'

export const SCHEDOP = constants('SCHEDOP', {
  yield: 0,
  block: 1,
  shutdown: 2,
  poll: 3,
  remote_shutdown: 4,
  shutdown_code: 5,
  watchdog: 6,
  pin_override: 7,
})
export const SHUTDOWN = constants('SHUTDOWN', {
  poweroff: 0,
  reboot: 1,
  suspend: 2,
  crash: 3,
  watchdog: 4,
  soft_reset: 5,
})

export const sched_shutdown = struct('sched_shutdown', H, { reason: u32('SHUTDOWN_*') })
export const sched_poll = struct('sched_poll', H, {
  ports: handle('list of evtchn_port_t'),
  nr_ports: u32('at most 128'),
  timeout: u64('absolute system time in ns, 0 = none'),
})
export const SCHED_POLL_MAX_PORTS = 128
export const sched_remote_shutdown = struct('sched_remote_shutdown', H, { domain_id: u16(), reason: u32() })
export const sched_watchdog = struct('sched_watchdog', H, {
  id: u32('0 makes a new one'),
  timeout: u32('seconds, 0 stops it'),
})
