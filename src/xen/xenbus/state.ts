/** io/xenbus.h: the states through which both ends of a PV device go. */

export const XENBUS_STATE = {
  Unknown: 0,
  Initialising: 1,
  InitWait: 2,
  Initialised: 3,
  Connected: 4,
  Closing: 5,
  Closed: 6,
  Reconfiguring: 7,
  Reconfigured: 8,
} as const
export type XenbusState = keyof typeof XENBUS_STATE

const NAMES = new Map<string, XenbusState>(
  Object.entries(XENBUS_STATE).map(([name, value]) => [String(value), name as XenbusState]),
)

/** A `state` node's value. GUEST: anything that is no state counts as Unknown. */
export const parseXenbusState = (text: string): XenbusState => NAMES.get(text) ?? 'Unknown'
export const xenbusStateText = (state: XenbusState): string => String(XENBUS_STATE[state])

/** What the bus has to do when it sees the frontend in a state. */
export type BusAction = 'nothing' | 'wait' | 'connect' | 'close' | 'closed'

/**
 * The one switch over frontend states. `wait`: (again) InitWait; `connect`: call the backend and go Connected;
 * `close`: disconnect and go Closing; `closed`: disconnect and go Closed.
 */
export function busAction(
  frontend: XenbusState,
  backend: XenbusState,
  connectOn: 'Initialised' | 'Connected',
): BusAction {
  const isConnected = backend === 'Connected'
  switch (frontend) {
    case 'Initialising':
      // A frontend that starts over: after kexec, resume, or a driver that was bound again.
      return backend === 'InitWait' ? 'nothing' : 'wait'
    case 'Initialised':
    case 'Connected': {
      const ready = frontend === 'Connected' || connectOn === 'Initialised'
      return ready && !isConnected && backend === 'InitWait' ? 'connect' : 'nothing'
    }
    case 'Closing':
      return backend === 'Closing' || backend === 'Closed' ? 'nothing' : 'close'
    case 'Closed':
    case 'Unknown':
      return backend === 'Closed' ? 'nothing' : 'closed'
    default:
      return 'nothing'
  }
}
