/**
 * A driver under observation: which nodes its backend writes, and what its calls throw. A refusal of what a frontend
 * published is an XtError or one of Xen's own errors; anything else that leaves a call is a bug of the backend.
 */
import { XtError } from '../base/errors.ts'
import type { Backend, BackendDriver } from '../engine/plugin.ts'
import { EvtchnError, GrantError } from '../xen/errors.ts'
import type { XenHost, XenstoreClient, XenstoreTx } from '../xen/xenhost.ts'
import { pathRow, type ValueType, valueFits } from '../xen/xenstore/paths.ts'
import { XenstoreError } from '../xen/xenstore/xenstore-error.ts'

type Fault = (what: string) => void
type OwnNodes = Readonly<Record<string, ValueType>>

export function judgedDriver<D>(driver: BackendDriver<D>, own: OwnNodes, fault: Fault): BackendDriver<D> {
  return {
    ...driver,
    create(xenhost, device, otherend) {
      const path = (xenhost as Partial<{ readonly backendPath: string }>).backendPath ?? ''
      const judge = (node: string, value: string | undefined) => judgeNode(path, node, value, own, fault)
      const backend = driver.create(
        { ...xenhost, xenstore: judgedStore(xenhost.xenstore, judge) } as XenHost,
        device,
        otherend,
      )
      return judgedBackend(backend, path, judge, fault)
    },
  }
}

type Judge = (path: string, value: string | undefined) => void

function judgeNode(
  backendPath: string,
  path: string,
  value: string | undefined,
  own: OwnNodes,
  fault: Fault,
): void {
  const key = path.slice(backendPath.length + 1)
  if (key === 'state') fault(`${path}: the state is the bus's to write`)
  const row = pathRow(path)
  const type = own[key] ?? (row?.writer === 'backend' ? row.type : undefined)
  if (type === undefined) fault(`${path} is no node that this backend may write`)
  else if (value !== undefined && !valueFits(type, value)) fault(`${path} is a ${type} and got "${value}"`)
}

function judgedStore(store: XenstoreClient, judge: Judge): XenstoreClient {
  const text = (value: string | Uint8Array) =>
    typeof value === 'string' ? value : new TextDecoder().decode(value)
  return {
    ...store,
    write(path, value, tx?: XenstoreTx) {
      judge(path, text(value))
      return store.write(path, value, tx)
    },
    mkdir(path, tx) {
      judge(path, undefined)
      return store.mkdir(path, tx)
    },
    rm(path, tx) {
      judge(path, undefined)
      return store.rm(path, tx)
    },
  }
}

function judgedBackend(backend: Backend, path: string, judge: Judge, fault: Fault): Backend {
  const never = (call: string) => (error: unknown) => {
    fault(`${path} ${call}: ${(error as Error)?.stack ?? String(error)}`)
    throw error
  }
  return {
    async nodes() {
      const nodes = (await backend.nodes?.()) ?? {}
      for (const [key, value] of Object.entries(nodes)) judge(`${path}/${key}`, value)
      return nodes
    },
    async connect() {
      try {
        await backend.connect()
      } catch (error) {
        if (!isRefusal(error)) never('connect')(error)
        throw error
      }
    },
    disconnect: async () => backend.disconnect().catch(never('disconnect')),
    [Symbol.asyncDispose]: async () => backend[Symbol.asyncDispose]().then(undefined, never('dispose')),
  }
}

const isRefusal = (error: unknown): boolean =>
  [XtError, GrantError, EvtchnError, XenstoreError].some((kind) => error instanceof kind)
