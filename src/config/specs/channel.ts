/** Channels: `connection=pty|socket,name=...,path=...,backend=...`, blanks round keys and values dropped. */
import { refuse, type SpecFault, type SpecResult } from './fault.ts'
import { option, tokens } from './tokens.ts'

export interface ChannelSpec {
  connection: 'pty' | 'socket'
  name?: string
  path?: string
  backend?: string
}

export function parseChannel(spec: string): SpecResult<ChannelSpec> {
  const given: Partial<ChannelSpec> = {}
  const warnings: SpecFault[] = []
  const parts = tokens(spec)
  if (parts.length === 0) return refuse({ message: 'empty', near: spec, at: 0 })
  for (const token of parts) {
    const part = option(token)
    if (part === undefined || part.key === '' || part.value === '') {
      return refuse({ message: 'not of the form key=value', near: token.text, at: token.at })
    }
    // XEN: until 4.18 a second = ends the value.
    const [first, ...lost] = part.value.split('=')
    if (lost.length > 0)
      warnings.push({ message: 'what follows the second = is ignored', near: token.text, at: token.at })
    const [key, value] = [part.key.trim(), first!.trim()]
    if (key === 'name' || key === 'path' || key === 'backend') given[key] = value
    else if (key !== 'connection')
      warnings.push({ message: 'unknown option, ignored', near: token.text, at: token.at })
    else if (value === 'pty' || value === 'socket') given.connection = value
    else
      return refuse({
        message: 'unknown connection',
        near: token.text,
        at: token.at,
        hint: 'Known: pty socket.',
      })
  }
  const { connection } = given
  if (connection === undefined) {
    return refuse({
      message: 'no connection',
      near: spec,
      at: 0,
      hint: 'Say connection=pty or connection=socket.',
    })
  }
  if (connection === 'socket' && given.path === undefined) {
    return refuse({ message: 'connection=socket needs a path', near: spec, at: 0 })
  }
  return { value: { ...given, connection }, faults: [], warnings }
}
