/** Type, names, memory, processors and what happens at the guest's end. */
import { ACTIONS } from '../schema.ts'
import { CpuidPolicy } from '../specs/cpuid.ts'
import { parseCpus } from '../specs/cpus.ts'
import { parseUuid } from '../specs/pv-devices.ts'
import { VnumaNode } from '../specs/vnuma.ts'
import type { Atom } from '../xl/ast.ts'
import type { DomainType, Reader } from './reader.ts'

/** libxl's words for the actions. */
const LIBXL_ACTION: Readonly<Record<string, string>> = { 'rename-restart': 'restart_rename' }
const MOST_GRANT = 2n ** 31n - 1n
/** libxl's marks for "nobody said". */
const MEMKB_DEFAULT = 2n ** 64n - 1n
/** Longer lists of vCPUs are not worth printing: no Xen has nearly as many. */
const MOST_VCPUS = 131072n
/** Xen has at most 64 nodes; far more would be a quarter of a million distances. */
const MOST_VNODES = 512

/** XEN: any first part of a word passes, so `p` is PV and nothing at all is HVM. */
export function readType(reader: Reader): void {
  const words: readonly DomainType[] = ['hvm', 'pv', 'pvh']
  const text = reader.settings.string('type')
  const type = text === undefined ? undefined : words.find((word) => word.startsWith(text))
  if (text !== undefined && type === undefined) reader.refuse('type', 'pvh, hvm or pv')
  else if (type !== undefined && type !== text)
    reader.deprecated('type', `\`${text}' is taken for \`${type}'`)
  const builder = reader.settings.string('builder')
  const built =
    builder === undefined
      ? undefined
      : 'hvm'.startsWith(builder)
        ? 'hvm'
        : 'generic'.startsWith(builder)
          ? 'pv'
          : null
  if (built === null) reader.refuse('builder', 'hvm or generic')
  else if (built !== undefined && type !== undefined && built !== type) {
    const { value } = reader.settings.get('builder')!
    reader.problems.error(value.at, value.end, 'XT_CONFIG_CONFLICT', 'builder', 'type')
  } else if (built !== undefined) reader.deprecated('builder', `write type = "${built}"`)
  reader.type = type ?? built ?? 'pv'
  reader.put(['c_info', 'type'], reader.type)
  reader.put(['b_info', `type.${reader.type}`], {})
}

export function readGeneral(reader: Reader): void {
  readIdentity(reader)
  readVcpus(reader)
  readVnuma(reader)
  fillMemoryAndVcpus(reader)
  readAffinity(reader, 'cpus', 'vcpu_hard_affinity')
  readAffinity(reader, 'cpus_soft', 'vcpu_soft_affinity')
  for (const key of ['max_grant_frames', 'max_maptrack_frames', 'max_grant_version'])
    readGrantLimit(reader, key)
  for (const key of ['on_poweroff', 'on_reboot', 'on_watchdog', 'on_crash', 'on_soft_reset'])
    readAction(reader, key)
  readCpuid(reader)
  const trace = reader.quietNumber('vmtrace_buf_kb')
  if (trace !== undefined) reader.put(['b_info', 'vmtrace_buf_kb'], Number(BigInt.asIntN(32, trace)))
}

function readIdentity(reader: Reader): void {
  const { settings } = reader
  const name = settings.string('name')
  if (name === undefined) reader.problems.error(0, 0, 'XT_CONFIG_MISSING', 'name')
  reader.put(['c_info', 'name'], name)
  const given = settings.string('uuid')
  const uuid = given === undefined ? reader.newUuid() : parseUuid(given)
  if (uuid === undefined) reader.refuse('uuid', 'a uuid like 6b2f9c0e-3a51-4d7e-9f10-2c8d5b7a1e44')
  reader.put(['c_info', 'uuid'], uuid)
  reader.put(['c_info', 'run_hotplug_scripts'], true)
  reader.put(['b_info', 'claim_mode'], true)
  reader.put(
    ['c_info', 'passthrough'],
    reader.word('passthrough', ['default', 'disabled', 'enabled', 'sync_pt', 'share_pt']),
  )
  const building = settings.string('init_seclabel')
  const running = settings.string('seclabel')
  reader.put(['c_info', 'ssid_label'], building ?? running)
  if (building !== undefined) reader.put(['b_info', 'exec_ssid_label'], running)
  for (const item of settings.items('xenstore_quota')) readQuota(reader, item)
}

function readQuota(reader: Reader, item: Atom): void {
  const match = /^([^=]*)=(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})$/.exec(item.text)
  const value = Number(match?.[2])
  if (match === null || value > 0xffffffff) {
    reader.problems.error(item.at, item.end, 'XT_CONFIG_VALUE', 'xenstore_quota', item.text, 'name=number')
    return
  }
  const list = (reader.get('b_info', 'xenstore_quota', 'quota') ?? []) as object[]
  reader.put(['b_info', 'xenstore_quota', 'quota'], [...list, { name: match[1]!, val: value }] as never)
}

function readVcpus(reader: Reader): void {
  const vcpus = reader.settings.number('vcpus')
  if (vcpus === undefined) return
  if (vcpus < 0n || vcpus > MOST_VCPUS) {
    reader.refuse('vcpus', `a number from 1 to ${MOST_VCPUS}`)
    return
  }
  reader.put(
    ['b_info', 'avail_vcpus'],
    Array.from({ length: Number(vcpus) }, (_, vcpu) => vcpu),
  )
}

function readVnuma(reader: Reader): void {
  const list = reader.settings.get('vnuma')?.value
  if (list?.kind !== 'list' || list.items.length === 0) return
  if (list.items.length > MOST_VNODES) {
    reader.refuse('vnuma', `at most ${MOST_VNODES} nodes`)
    return
  }
  const nodes: VnumaNode[] = []
  for (const entry of list.items) {
    if (entry.kind === 'atom') {
      reader.problems.error(entry.at, entry.end, 'XT_CONFIG_VALUE', 'vnuma', entry.text, 'lists of strings')
      return
    }
    const node = new VnumaNode(list.items.length, reader.host.nodes.length)
    for (const item of entry.items) if (item.kind === 'atom') reader.take('vnuma', item, node.add(item.text))
    nodes.push(node)
  }
  const vcpus = nodes.reduce((sum, node) => sum + node.vcpuCount, 0)
  const memkb = nodes.reduce((sum, node) => sum + node.totalMemkb, 0n)
  const wantedVcpus = reader.get('b_info', 'max_vcpus')
  const wantedMemory = reader.get('b_info', 'max_memkb')
  if (wantedVcpus ? wantedVcpus !== vcpus : vcpus > reader.hostCpus) {
    reader.refuse('vnuma', wantedVcpus ? 'as many vcpus as maxvcpus' : 'no more vcpus than the host has CPUs')
  }
  if (wantedMemory !== undefined && wantedMemory !== memkb) reader.refuse('vnuma', 'as much memory as maxmem')
  reader.put(['b_info', 'max_vcpus'], vcpus)
  reader.put(['b_info', 'max_memkb'], memkb)
  reader.put(
    ['b_info', 'vnuma_nodes'],
    nodes.map((node) => node.finish()),
  )
  if (nodes.some((node) => node.hasPnode)) reader.put(['b_info', 'numa_placement'], false)
}

function fillMemoryAndVcpus(reader: Reader): void {
  const most = reader.get('b_info', 'max_memkb')
  if (most === undefined || most === MEMKB_DEFAULT)
    reader.put(['b_info', 'max_memkb'], reader.get('b_info', 'target_memkb'))
  const vcpus = ((reader.get('b_info', 'avail_vcpus') ?? []) as readonly number[]).length
  if (!reader.get('b_info', 'max_vcpus')) reader.put(['b_info', 'max_vcpus'], vcpus)
  if (Number(reader.get('b_info', 'max_vcpus')) < vcpus)
    reader.refuse('maxvcpus', 'at least as many as vcpus')
}

/** A string is for all vCPUs, a list has one string per vCPU. */
function readAffinity(reader: Reader, key: 'cpus' | 'cpus_soft', field: string): void {
  const value = reader.settings.get(key)?.value
  if (value === undefined) return
  const vcpus = Number(reader.get('b_info', 'max_vcpus') ?? 0)
  if (vcpus > MOST_VCPUS) {
    reader.refuse('maxvcpus', `a number from 1 to ${MOST_VCPUS}`)
    return
  }
  const items = value.kind === 'atom' ? [value] : value.items.slice(0, vcpus)
  const sets: (readonly number[])[] = []
  for (const item of items) {
    if (item.kind === 'list') {
      reader.problems.error(item.at, item.at + 1, 'XT_CONFIG_NESTED_LIST', key)
      return
    }
    const set = reader.take(key, item, parseCpus(item.text, reader.host))
    if (set === undefined) return
    if (set.length === 0 && key === 'cpus' && vcpus > 0) {
      reader.problems.error(item.at, item.end, 'XT_CONFIG_NO_CPUS', item.text)
      return
    }
    sets.push(set)
  }
  reader.put(['b_info', field], value.kind === 'atom' ? Array.from({ length: vcpus }, () => sets[0]!) : sets)
  if (value.kind === 'list' || key === 'cpus_soft') reader.put(['b_info', 'numa_placement'], false)
}

/** XEN: whatever is no number from 0 to 2^31-1 ends xl without a word. */
function readGrantLimit(reader: Reader, key: string): void {
  if (reader.settings.get(key) === undefined) return
  const value = reader.quietNumber(key)
  if (value === undefined || value < 0n || value > MOST_GRANT)
    reader.refuse(key, 'a number from 0 to 2147483647')
  else reader.put(['b_info', key], Number(value))
}

function readAction(reader: Reader, key: string): void {
  const text = reader.settings.string(key)
  const fallback = key === 'on_reboot' ? 'restart' : key === 'on_soft_reset' ? 'soft-reset' : 'destroy'
  const action = text === undefined ? fallback : ACTIONS.find((known) => known === text)
  if (action === undefined) reader.refuse(key, ACTIONS.join(', '))
  else reader.put([key], LIBXL_ACTION[action] ?? action.replace('-', '_'))
}

function readCpuid(reader: Reader): void {
  const value = reader.settings.get('cpuid')?.value
  if (value === undefined) return
  const policy = new CpuidPolicy()
  if (value.kind === 'atom') reader.take('cpuid', value, policy.addFlags(value.text))
  else
    for (const item of reader.settings.items('cpuid')) reader.take('cpuid', item, policy.addLine(item.text))
  reader.put(['b_info', 'cpuid'], policy.finish())
}
