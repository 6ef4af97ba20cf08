/** vcpu.h: per-vCPU operations: bring-up, timers, registered areas, runstate. */
import { array, constants, handle, i32, struct, u32, u64 } from './struct.ts'

const H = 'vcpu.h'

export const VCPUOP = constants('VCPUOP', {
  initialise: 0,
  up: 1,
  down: 2,
  is_up: 3,
  get_runstate_info: 4,
  register_runstate_memory_area: 5,
  set_periodic_timer: 6,
  stop_periodic_timer: 7,
  set_singleshot_timer: 8,
  stop_singleshot_timer: 9,
  register_vcpu_info: 10,
  send_nmi: 11,
  get_physid: 12,
  register_vcpu_time_memory_area: 13,
  register_runstate_phys_area: 14,
  register_vcpu_time_phys_area: 15,
})

export const RUNSTATE = constants('RUNSTATE', { running: 0, runnable: 1, blocked: 2, offline: 3 })
/** Bit 63 of state_entry_time: an update is in progress (only with VMASST_TYPE_runstate_update_flag). */
export const XEN_RUNSTATE_UPDATE = 1n << 63n

export const vcpu_runstate_info = struct('vcpu_runstate_info', H, {
  state: i32('RUNSTATE_*'),
  state_entry_time: u64('system time, ns; bit 63 while changing'),
  time: array(u64(), 4, 'ns spent in each state'),
})
export const vcpu_set_periodic_timer = struct('vcpu_set_periodic_timer', H, { period_ns: u64() })
export const vcpu_set_singleshot_timer = struct('vcpu_set_singleshot_timer', H, {
  timeout_abs_ns: u64('system time'),
  flags: u32('VCPU_SSHOTTMR_*'),
})
export const vcpu_register_vcpu_info = struct('vcpu_register_vcpu_info', H, {
  mfn: u64('gfn of the page'),
  offset: u32('in the page'),
  rsvd: u32(),
})
/** vcpu_register_runstate_memory_area and vcpu_register_time_memory_area: one word. */
export const vcpu_register_memory_area = struct('vcpu_register_memory_area', '', {
  addr: handle('guest-virtual address; guest-physical in the phys_area forms'),
})
