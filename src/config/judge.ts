/**
 * What xt makes of a configuration that xl would take: unknown keys, keys without effect, what cannot run here,
 * and the DomainConfig that comes of the rest.
 */

import type { z } from 'zod'
import { issueWords } from '../base/issue-words.ts'
import { KEYS, type KeyRow } from './keys.ts'
import type { LibxlObject, LibxlValue } from './libxl-config.ts'
import { nearest } from './nearest.ts'
import type { Reader } from './read/reader.ts'
import { type DomainConfig, domainSchema } from './schema.ts'
import { vdevNumber } from './specs/vdev.ts'
import type { Setting, Value } from './xl/ast.ts'
import { arrange } from './xl-json.ts'

const DEFAULT_MEMORY_KIB = 32n * 1024n
/** Beyond what any machine has; keeps sums exact. */
const MOST_KIB = 2n ** 40n
/** Store, console and some for devices and timers. */
const LEAST_EVENT_CHANNELS = 16
const GUEST_LETTER = { hvm: 'H', pvh: 'P', pv: 'V' } as const

/** Names the keys that xl would pass over in silence; those of plugins are theirs to judge. */
export function checkKeys({ settings, problems, type, pluginKeys }: Reader): void {
  for (const { name, nameAt } of settings.all()) {
    const row = KEYS.get(name)
    const end = nameAt + name.length
    if (row === undefined && pluginKeys.has(name)) continue
    if (row === undefined) {
      const near = problems.isFull ? undefined : nearest(name, KEYS.keys())
      problems.warn(nameAt, end, 'XT_CONFIG_UNKNOWN_KEY', name, near)
    } else if (row.effect === 'refused') continue
    else if (!isFor(row, type)) problems.note(nameAt, end, 'XT_CONFIG_OTHER_GUEST', name, type)
    else if (row.effect === 'none') problems.note(nameAt, end, 'XT_CONFIG_NO_EFFECT', name)
  }
}

function isFor({ guests }: KeyRow, type: keyof typeof GUEST_LETTER): boolean {
  return guests === 'all' || guests === 'A' || guests.includes(GUEST_LETTER[type])
}

/** The configuration for the engine; undefined after an error. */
export function judge(reader: Reader): DomainConfig | undefined {
  const { problems, settings } = reader
  const value = settings.get('type')?.value
  // A type that does not exist was named before.
  if (reader.type !== 'pvh' && problems.list.every(({ at }) => at !== value?.at)) {
    problems.error(value?.at ?? 0, value?.end ?? 0, 'XT_CONFIG_GUEST_TYPE', reader.type)
  }
  for (const setting of settings.all()) judgeSetting(reader, setting)
  const draft = makeDraft(reader)
  if (problems.hasErrors) return undefined
  const result = domainSchema.safeParse(draft)
  if (result.success) return result.data
  for (const issue of result.error.issues) {
    const { key, at, end } = placeOf(reader, issue)
    // What follows from one setting (maxvcpus from vcpus) is not said twice.
    if (problems.list.some((known) => known.severity === 'error' && known.at === at)) continue
    problems.error(at, end, 'XT_CONFIG_SCHEMA', key, issueWords(issue))
  }
  return undefined
}

/** What xt says of the things it does not have. */
const REFUSALS: ReadonlyMap<string, string> = new Map([
  ['firmware', 'xt has no firmware for this type of guest; name the kernel'],
  ['pvshim', 'xt has no PV shim'],
  ['vtpm', 'xt has no TPM'],
  ['pvcalls', 'xt has no PV sockets'],
  ['vdispl', 'xt has no PV display'],
  ['vsnd', 'xt has no sound'],
  ['virtio', 'xt has no virtio devices'],
  ['usbctrl', 'xt has no USB'],
  ['usbdev', 'xt has no USB'],
  ['pci', 'xt passes no PCI devices through'],
])

function judgeSetting({ problems, settings }: Reader, { name, nameAt, value }: Setting): void {
  const row = KEYS.get(name)
  if (row?.effect === 'used') checkText(value, (at, end) => problems.error(at, end, 'XT_CONFIG_NOT_UTF8'))
  if (row?.effect !== 'refused') return
  const asked =
    row.type === 'list'
      ? value.kind === 'list' && value.items.length > 0
      : row.type !== 'boolean' || settings.boolean(name)
  if (asked) problems.error(nameAt, nameAt + name.length, 'XT_CONFIG_NOT_HERE', name, REFUSALS.get(name)!)
}

/** Lone surrogates stand for bytes that were not UTF-8 (load.ts); no file name can be made of them. */
function checkText(value: Value, report: (at: number, end: number) => void): void {
  if (value.kind === 'list') for (const item of value.items) checkText(item, report)
  else if (!value.text.isWellFormed()) report(value.at, value.end)
}

/** A value as plain JSON: strings and lists. */
const textOf = (value: Value): unknown => (value.kind === 'atom' ? value.text : value.items.map(textOf))

function makeDraft(reader: Reader): unknown {
  const { settings, libxl, pluginKeys } = reader
  const c = libxl['c_info'] as LibxlObject
  const b = libxl['b_info'] as LibxlObject
  const { memory, most } = judgeMemory(reader, b)
  judgeLimits(reader, b)
  const vcpus = Math.max(1, ((b['avail_vcpus'] ?? []) as readonly number[]).length)
  return {
    name: c['name'],
    uuid: c['uuid'],
    type: reader.type,
    kernel: b['kernel'],
    ramdisk: b['ramdisk'],
    cmdline: b['cmdline'],
    bootloader: b['bootloader'],
    bootloaderArgs: b['bootloader_args'],
    memoryKiB: Number(memory),
    maxMemoryKiB: Number(most),
    vcpus,
    maxVcpus: Math.max(vcpus, Number(b['max_vcpus'] ?? 0)),
    ...Object.fromEntries(
      ['on_poweroff', 'on_reboot', 'on_crash', 'on_watchdog', 'on_soft_reset'].map((key) => [
        camel(key),
        settings.string(key),
      ]),
    ),
    ...draftDevices(reader),
    cpu: settings.string('cpu'),
    plugins:
      settings.get('plugins') === undefined ? undefined : settings.items('plugins').map(({ text }) => text),
    stanzas: Object.fromEntries(
      [...settings.all()]
        .filter(({ name }) => pluginKeys.has(name) && !KEYS.has(name))
        .map(({ name, value }) => [name, textOf(value)]),
    ),
    libxl: plain(arrange(libxl, 'domain_config')),
  }
}

/** Limits with which no guest would start, and the one switch that cannot be off. */
function judgeLimits({ settings, problems }: Reader, b: LibxlObject): void {
  const least = [
    ['max_event_channels', 'event_channels', LEAST_EVENT_CHANNELS],
    ['max_grant_frames', 'max_grant_frames', 1],
  ] as const
  for (const [key, field, most] of least) {
    const setting = settings.get(key)
    const isDefault = key === 'max_event_channels' && b[field] === 0
    if (setting !== undefined && Number(b[field] ?? most) < most && !isDefault)
      problems.error(setting.value.at, setting.value.end, 'XT_CONFIG_OUT_OF_BOUNDS', key, `at least ${most}`)
  }
  const acpi = settings.get('acpi')
  if (acpi !== undefined && b['acpi'] === false)
    problems.error(
      acpi.nameAt,
      acpi.value.end,
      'XT_CONFIG_NOT_HERE',
      'acpi',
      'a guest without ACPI is not made here',
    )
}

function judgeMemory({ settings, problems }: Reader, b: LibxlObject): { memory: bigint; most: bigint } {
  const given = (name: string) => b[name] as bigint | undefined
  const memory = given('target_memkb') ?? given('max_memkb') ?? DEFAULT_MEMORY_KIB
  const most = given('max_memkb') ?? memory
  const complain = (key: string, allowed: string) => {
    const value = settings.get(key)?.value
    problems.error(value?.at ?? 0, value?.end ?? 0, 'XT_CONFIG_OUT_OF_BOUNDS', key, allowed)
  }
  if (memory < 1n || memory > MOST_KIB)
    complain(settings.get('memory') ? 'memory' : 'maxmem', 'from 1 to 1048576 MiB')
  else if (most < memory) complain('maxmem', "at least `memory'")
  else if (most > MOST_KIB) complain('maxmem', 'at most 1048576 MiB')
  return { memory, most }
}

function draftDevices({ devices, problems, libxl }: Reader): LibxlObject {
  const names = new Set<number>()
  const disks = devices.disks.map(({ spec, item }) => {
    const { colo, coloHost, coloPort, coloExport, activeDisk, hiddenDisk, ...disk } = spec
    const number = vdevNumber(spec.vdev ?? '')?.number
    if (!spec.vdev || number === undefined)
      problems.error(item.at, item.end, 'XT_CONFIG_DISK_NAME', spec.vdev ?? '')
    else if (names.has(number)) problems.error(item.at, item.end, 'XT_CONFIG_DUPLICATE_DISK', spec.vdev)
    if (number !== undefined) names.add(number)
    return { ...disk, vdevNumber: number }
  })
  const vifs = devices.vifs.map(({ spec: { colo, rateBytesPerInterval: rate, ...vif } }) => ({
    ...vif,
    ...(rate ? { rateBytesPerInterval: Number(rate) } : { rateIntervalUs: undefined }),
  }))
  return {
    disks,
    vifs,
    p9: devices.p9.map(({ spec }, devid) => ({ devid, ...spec })),
    channels: devices.channels.map(({ spec }, devid) => ({ devid, ...spec })),
    vfbs: ((libxl['vfbs'] ?? []) as readonly LibxlObject[]).map(draftVfb),
    vkbs: ((libxl['vkbs'] ?? []) as readonly LibxlObject[]).map(draftVkb),
  } as unknown as LibxlObject
}

function draftVfb(vfb: LibxlObject): unknown {
  const { enable, listen, display, findunused, passwd } = vfb['vnc'] as LibxlObject
  return {
    devid: vfb['devid'],
    vnc: { enable, listen, display, findUnused: findunused, password: passwd === '' ? undefined : passwd },
    keymap: vfb['keymap'],
  }
}

function draftVkb(vkb: LibxlObject): unknown {
  const touch = {
    width: vkb['multi_touch_width'] ?? 0,
    height: vkb['multi_touch_height'] ?? 0,
    contacts: vkb['multi_touch_num_contacts'] ?? 0,
  }
  return {
    devid: vkb['devid'],
    backendType: vkb['backend_type'],
    uniqueId: vkb['unique_id'],
    keyboard: vkb['feature_disable_keyboard'] !== true,
    pointer: vkb['feature_disable_pointer'] !== true,
    absPointer: vkb['feature_abs_pointer'],
    rawPointer: vkb['feature_raw_pointer'],
    multiTouch: vkb['feature_multi_touch'] === true ? touch : undefined,
    width: vkb['width'],
    height: vkb['height'],
  }
}

const camel = (name: string) => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())

/** Without bigints: what could be larger than 2^53 has been refused, or has no effect here. */
function plain(value: LibxlValue): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item!)]))
}

const KEY_OF: Readonly<Record<string, string>> = {
  memoryKiB: 'memory',
  maxMemoryKiB: 'maxmem',
  maxVcpus: 'maxvcpus',
  disks: 'disk',
  vifs: 'vif',
  channels: 'channel',
  vfbs: 'vfb',
  vkbs: 'vkb',
}

/** Where the file says what the schema does not like. */
function placeOf(
  { settings, devices }: Reader,
  { path }: z.core.$ZodIssue,
): { key: string; at: number; end: number } {
  const [field, index] = path
  const name = String(field)
  const key = KEY_OF[name] ?? name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  const placed =
    typeof index === 'number'
      ? (devices as unknown as Record<string, { item: Value }[]>)[name]?.[index]
      : undefined
  const value =
    placed?.item ?? settings.get(key)?.value ?? settings.get(key === 'maxvcpus' ? 'vcpus' : key)?.value
  return { key, at: value?.at ?? 0, end: value?.end ?? 0 }
}
