/** Xen counts a vCPU that halts with interrupts off as down; when all are, the domain has powered off. */
import { at, label } from '../../src/plugins/cpu-software/isa/assemble.ts'
import { microGuest } from '../../src/testkit/micro-guests/guest.ts'
import { skipWithoutXen } from '../../src/testkit/micro-guests/xen.ts'

export const guest = microGuest(
  'halt-is-power-off',
  'halting the only vCPU with interrupts off powers the domain off',
  (g) => {
    skipWithoutXen(g)
    g.emit('LEA', 'rsi', at('pass')).emit('CALL', label('puts')).emit('CLI').emit('HLT')
  },
  { needsXen: true },
)
