import t from 'tap'
import type { VcpuInfo } from '../../src/engine/plugin.ts'
import {
  onlineVcpus,
  StateMachine,
  stateLetters,
  TRANSITIONS,
  type VmState,
} from '../../src/engine/vm-state.ts'

const vcpus = (...states: VcpuInfo['state'][]): VcpuInfo[] =>
  states.map((state, index) => ({ index, state, ranNs: 0 }))

t.test('every transition of the table is allowed and every other throws by name', async (t) => {
  const states = Object.keys(TRANSITIONS) as VmState[]
  const paths: Record<VmState, readonly VmState[]> = {
    building: [],
    paused: ['paused'],
    running: ['paused', 'running'],
    shutdown: ['paused', 'running', 'shutdown'],
    dying: ['dying'],
    gone: ['dying', 'gone'],
  }
  for (const from of states) {
    for (const to of states) {
      const machine = new StateMachine(() => {})
      for (const step of paths[from]) machine.to(step)
      const move = () => machine.to(to)
      if (TRANSITIONS[from].includes(to)) t.doesNotThrow(move, `${from} to ${to}`)
      else t.throws(move, { message: `VM state ${from} cannot become ${to}` })
    }
  }
})

t.test('who listens hears each change with what was before', async (t) => {
  const heard: string[] = []
  const machine = new StateMachine((state, before) => heard.push(`${before} ${state}`))
  machine.to('paused')
  machine.to('running')
  t.same(heard, ['building paused', 'paused running'])
})

// Lines of `xl list` of Xen 4.17 (golden data), and what stood behind them.
t.test('the letters are those that xl shows', async (t) => {
  const running = { state: 'running', pauseCount: 0 } as const
  t.equal(stateLetters({ ...running, vcpus: vcpus('running', 'blocked') }), 'r-----')
  t.equal(stateLetters({ ...running, vcpus: vcpus('blocked', 'blocked', 'offline') }), '-b----')
  t.equal(stateLetters({ state: 'paused', pauseCount: 1, vcpus: vcpus('parked') }), '--p---')
  const ended = { state: 'shutdown', pauseCount: 0 } as const
  t.equal(stateLetters({ ...ended, shutdownReason: 0, vcpus: vcpus('down') }), '---s--')
  t.equal(stateLetters({ ...ended, shutdownReason: 1, vcpus: vcpus('parked') }), '---sr-')
  t.equal(stateLetters({ ...ended, shutdownReason: 3, vcpus: vcpus('parked') }), '---sc-')
  t.equal(stateLetters({ ...ended, pauseCount: 1, shutdownReason: 0, vcpus: vcpus('down') }), '--ps--')
  t.equal(stateLetters({ ...ended, shutdownReason: 9, vcpus: [] }), '---s?-')
  t.equal(stateLetters({ state: 'dying', pauseCount: 0, vcpus: [] }), '-----d')
})

t.test('vCPUs count as long as they are neither offline nor halted for good', async (t) => {
  t.equal(onlineVcpus({ vcpus: vcpus('running', 'parked', 'blocked', 'offline', 'down') }), 3)
})
