/** Thrown through TypeScript code when the guest faults; the fault itself is in the state block. */
export const GUEST_FAULT = new Error('guest fault')
