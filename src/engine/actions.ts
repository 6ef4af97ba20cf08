/**
 * What is to be done about a guest that ended: xl's on_* settings and its words. Pure.
 */
import type { Action, DomainConfig } from '../config/schema.ts'
import { SHUTDOWN } from './vm-state.ts'

/** The action for a shutdown reason. A reason that nobody knows destroys the domain, a suspended one stays (as xl has it). */
export function actionFor(config: DomainConfig, reason: number): Action {
  switch (reason) {
    case SHUTDOWN.poweroff:
      return config.onPoweroff
    case SHUTDOWN.reboot:
      return config.onReboot
    case SHUTDOWN.suspend:
      return 'preserve'
    case SHUTDOWN.crash:
      return config.onCrash
    case SHUTDOWN.watchdog:
      return config.onWatchdog
    case SHUTDOWN.soft_reset:
      return config.onSoftReset
    default:
      return 'destroy'
  }
}

/** The steps of an action, in order. `keep`: the ended domain stays; else it is destroyed. */
export interface Steps {
  readonly dump: boolean
  readonly rename: boolean
  readonly keep: boolean
  readonly restart: boolean
}

export function stepsOf(action: Action): Steps {
  return {
    dump: action.startsWith('coredump-'),
    rename: action === 'rename-restart',
    keep: action === 'preserve' || action === 'rename-restart',
    restart: action.endsWith('restart'),
  }
}

/** The name under which rename-restart keeps the ended domain: NAME-YYYYMMDDThhmmZ. */
export function preservedName(name: string, now: Date): string {
  const [date, time] = now.toISOString().split('T') as [string, string]
  return `${name}-${date.replaceAll('-', '')}T${time.slice(0, 5).replace(':', '')}Z`
}
