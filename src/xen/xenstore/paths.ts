/**
 * The nodes of a host with PVH guests: path, type of the value, permissions, who writes it. For documents, for
 * checks that a backend writes only what is listed, and for people who look for a key.
 *
 * Sources: docs/misc/xenstore-paths.pandoc and public/io/*.h of Xen, Linux's frontends, and trees that libxl 4.17
 * wrote. Variables: $DOMID, $UUID, $DEVID (device number), $CPU, $N (any number). Left out: device types that have
 * no backend here yet (vsnd, vdispl, vtpm, pvcalls, vusb, vscsi, pci), and what only a device model of dom0 uses.
 */

export type ValueType = 'directory' | 'text' | 'number' | 'flag' | 'path' | 'state' | 'mac' | 'uuid'

/** Permissions as `$DOMID` of the guest completes them. */
export const ACCESS = {
  host: ['n0'],
  hostGuestReads: ['n0', 'r$DOMID'],
  guest: ['n$DOMID'],
  guestHostReads: ['n$DOMID', 'r0'],
} as const
export type Access = keyof typeof ACCESS

/** guest: its kernel outside of any device; frontend and backend: of one device. */
export type Writer = 'store' | 'toolstack' | 'guest' | 'frontend' | 'backend'

export interface PathRow {
  readonly pattern: string
  readonly type: ValueType
  readonly access: Access
  /** Who gives it its value; a toolstack may have made it empty before. */
  readonly writer: Writer
  readonly text: string
}

type Row = readonly [path: string, type: ValueType, access: Access, writer: Writer, text: string]
type Key = readonly [key: string, type: ValueType, writer: Writer, text: string, access?: Access]

const own = '/local/domain/$DOMID'

const HOST: readonly Row[] = [
  ['/@introduceDomain', 'directory', 'host', 'store', 'who may be told of new domains'],
  ['/@releaseDomain', 'directory', 'host', 'store', 'who may be told of ended domains'],
  ['/tool', 'directory', 'host', 'store', ''],
  ['/tool/xenstored', 'text', 'host', 'store', 'which store this is'],
  ['/local', 'directory', 'host', 'toolstack', ''],
  ['/local/domain', 'directory', 'host', 'toolstack', 'one directory per domain'],
  ['/local/domain/0', 'directory', 'host', 'toolstack', ''],
  ['/local/domain/0/domid', 'number', 'host', 'toolstack', ''],
  ['/local/domain/0/name', 'text', 'host', 'toolstack', ''],
  ['/local/domain/0/backend', 'directory', 'host', 'toolstack', 'one directory per type of device'],
  ['/local/pool', 'directory', 'host', 'toolstack', ''],
  ['/local/pool/0', 'directory', 'host', 'toolstack', ''],
  ['/local/pool/0/name', 'text', 'host', 'toolstack', 'name of the CPU pool'],
  ['/vm', 'directory', 'host', 'toolstack', ''],
  ['/vm/$UUID', 'directory', 'hostGuestReads', 'toolstack', 'what outlives a change of the domid'],
  ['/vm/$UUID/name', 'text', 'hostGuestReads', 'toolstack', ''],
  ['/vm/$UUID/uuid', 'uuid', 'hostGuestReads', 'toolstack', ''],
  ['/vm/$UUID/start_time', 'text', 'hostGuestReads', 'toolstack', 'seconds since 1970, two decimals'],
  ['/libxl', 'directory', 'host', 'toolstack', "the toolstack's own record, which no guest can reach"],
  ['/libxl/$DOMID', 'directory', 'host', 'toolstack', ''],
  ['/libxl/$DOMID/device', 'directory', 'host', 'toolstack', ''],
  ['/libxl/$DOMID/type', 'text', 'host', 'toolstack', 'pvh'],
  ['/libxl/$DOMID/dm-version', 'text', 'host', 'toolstack', 'qemu_xen'],
]

const DOMAIN: readonly Row[] = [
  [own, 'directory', 'hostGuestReads', 'toolstack', 'where relative paths of the domain start'],
  [`${own}/vm`, 'path', 'hostGuestReads', 'toolstack', ''],
  [`${own}/name`, 'text', 'hostGuestReads', 'toolstack', ''],
  [`${own}/domid`, 'number', 'hostGuestReads', 'toolstack', ''],
  [`${own}/cpu`, 'directory', 'hostGuestReads', 'toolstack', ''],
  [`${own}/cpu/$CPU`, 'directory', 'hostGuestReads', 'toolstack', ''],
  [`${own}/cpu/$CPU/availability`, 'text', 'hostGuestReads', 'toolstack', 'online or offline: hot plug'],
  [`${own}/memory`, 'directory', 'hostGuestReads', 'toolstack', ''],
  [`${own}/memory/static-max`, 'number', 'hostGuestReads', 'toolstack', 'KiB at most'],
  [
    `${own}/memory/target`,
    'number',
    'hostGuestReads',
    'toolstack',
    'KiB that the balloon driver is to reach',
  ],
  [`${own}/memory/videoram`, 'number', 'hostGuestReads', 'toolstack', 'KiB of it for a screen'],
  [`${own}/store`, 'directory', 'hostGuestReads', 'toolstack', ''],
  [`${own}/store/port`, 'number', 'hostGuestReads', 'toolstack', "event channel of the store's ring"],
  [`${own}/store/ring-ref`, 'number', 'hostGuestReads', 'toolstack', "frame of the store's ring"],
  [`${own}/control`, 'directory', 'hostGuestReads', 'toolstack', ''],
  [
    `${own}/control/shutdown`,
    'text',
    'guest',
    'toolstack',
    'poweroff, reboot, suspend, halt; the guest empties it',
  ],
  [`${own}/control/sysrq`, 'text', 'guest', 'toolstack', 'one letter; the guest empties it'],
  [`${own}/control/feature-poweroff`, 'flag', 'guest', 'guest', 'it listens to shutdown'],
  [`${own}/control/feature-reboot`, 'flag', 'guest', 'guest', ''],
  [`${own}/control/feature-suspend`, 'flag', 'guest', 'guest', ''],
  [`${own}/control/platform-feature-multiprocessor-suspend`, 'flag', 'hostGuestReads', 'toolstack', ''],
  [
    `${own}/control/platform-feature-xs_reset_watches`,
    'flag',
    'hostGuestReads',
    'toolstack',
    'RESET_WATCHES works',
  ],
  ...['data', 'drivers', 'feature', 'attr', 'error'].map(
    (name) => [`${own}/${name}`, 'directory', 'guest', 'guest', 'free for the guest'] as const,
  ),
  [`${own}/device`, 'directory', 'hostGuestReads', 'toolstack', 'frontends, by type'],
  [`${own}/device/suspend`, 'directory', 'hostGuestReads', 'toolstack', ''],
  [`${own}/device/suspend/event-channel`, 'text', 'guest', 'guest', ''],
  [`${own}/console`, 'directory', 'hostGuestReads', 'toolstack', 'the primary console'],
  [`${own}/console/backend`, 'path', 'hostGuestReads', 'toolstack', ''],
  [`${own}/console/backend-id`, 'number', 'guestHostReads', 'toolstack', ''],
  [`${own}/console/limit`, 'number', 'hostGuestReads', 'toolstack', 'bytes of output kept'],
  [`${own}/console/type`, 'text', 'hostGuestReads', 'toolstack', 'xenconsoled'],
  [`${own}/console/output`, 'text', 'hostGuestReads', 'toolstack', 'pty'],
  [`${own}/console/tty`, 'text', 'hostGuestReads', 'backend', 'where to attach'],
  [`${own}/console/port`, 'number', 'hostGuestReads', 'toolstack', ''],
  [`${own}/console/ring-ref`, 'number', 'hostGuestReads', 'toolstack', 'frame'],
]

/** Keys that every frontend and backend has. */
const COMMON: { readonly frontend: readonly Key[]; readonly backend: readonly Key[] } = {
  frontend: [
    ['backend', 'path', 'toolstack', ''],
    ['backend-id', 'number', 'toolstack', ''],
    ['state', 'state', 'frontend', 'XenbusState'],
  ],
  backend: [
    ['frontend', 'path', 'toolstack', ''],
    ['frontend-id', 'number', 'toolstack', ''],
    ['online', 'flag', 'toolstack', '0: go away when closed'],
    ['state', 'state', 'backend', 'XenbusState'],
    ['hotplug-status', 'text', 'backend', 'connected, when the host side is there'],
  ],
}

interface DeviceKeys {
  readonly frontend: readonly Key[]
  readonly backend: readonly Key[]
}

const flags = (writer: Writer, ...names: string[]): Key[] => names.map((name) => [name, 'flag', writer, ''])
const numbers = (writer: Writer, ...names: string[]): Key[] =>
  names.map((name) => [name, 'number', writer, ''])
const texts = (writer: Writer, ...names: string[]): Key[] => names.map((name) => [name, 'text', writer, ''])

const DEVICES: Readonly<Record<string, DeviceKeys>> = {
  vbd: {
    frontend: [
      ['virtual-device', 'number', 'toolstack', 'major and minor'],
      ['device-type', 'text', 'toolstack', 'disk or cdrom'],
      ['trusted', 'flag', 'toolstack', 'whether the backend may see more than is asked for'],
      ['protocol', 'text', 'frontend', 'x86_64-abi'],
      ...numbers(
        'frontend',
        'ring-ref',
        'ring-ref$N',
        'ring-page-order',
        'event-channel',
        'multi-queue-num-queues',
      ),
      ['queue-$N', 'directory', 'frontend', ''],
      ...numbers('frontend', 'queue-$N/ring-ref', 'queue-$N/ring-ref$N', 'queue-$N/event-channel'),
      ...flags('frontend', 'feature-persistent'),
    ],
    backend: [
      ['params', 'text', 'toolstack', 'what the disk is on the host'],
      ['mode', 'text', 'toolstack', 'r or w'],
      ...texts('toolstack', 'dev', 'type', 'device-type', 'specification', 'script'),
      ...flags('toolstack', 'removable', 'bootable', 'discard-enable', 'direct-io-safe'),
      ['sectors', 'number', 'backend', 'of 512 bytes'],
      ['info', 'number', 'backend', '1 cdrom, 2 removable, 4 read-only'],
      ...numbers(
        'backend',
        'sector-size',
        'physical-sector-size',
        'discard-granularity',
        'discard-alignment',
      ),
      ...flags('backend', 'discard-secure', 'feature-barrier', 'feature-flush-cache', 'feature-discard'),
      ...flags('backend', 'feature-persistent'),
      ...numbers('backend', 'feature-max-indirect-segments', 'max-ring-page-order', 'multi-queue-max-queues'),
      ...texts('backend', 'physical-device', 'physical-device-path', 'node'),
    ],
  },
  vif: {
    frontend: [
      ['mac', 'mac', 'toolstack', ''],
      ['handle', 'number', 'toolstack', ''],
      ['mtu', 'number', 'toolstack', '', 'hostGuestReads'],
      ['trusted', 'flag', 'toolstack', ''],
      ...numbers(
        'frontend',
        'tx-ring-ref',
        'rx-ring-ref',
        'event-channel',
        'event-channel-tx',
        'event-channel-rx',
      ),
      ['queue-$N', 'directory', 'frontend', ''],
      ...numbers('frontend', 'queue-$N/tx-ring-ref', 'queue-$N/rx-ring-ref', 'queue-$N/event-channel'),
      ...numbers(
        'frontend',
        'queue-$N/event-channel-tx',
        'queue-$N/event-channel-rx',
        'multi-queue-num-queues',
      ),
      ...numbers('frontend', 'xdp-headroom', 'ctrl-ring-ref', 'event-channel-ctrl'),
      ...flags('frontend', 'request-rx-copy', 'feature-rx-notify', 'feature-sg', 'feature-gso-tcpv4'),
      ...flags('frontend', 'feature-gso-tcpv6', 'feature-ipv6-csum-offload', 'feature-no-csum-offload'),
      ...flags('frontend', 'request-multicast-control'),
    ],
    backend: [
      ['mac', 'mac', 'toolstack', ''],
      ['handle', 'number', 'toolstack', ''],
      ['mtu', 'number', 'toolstack', ''],
      ['rate', 'text', 'toolstack', 'bytes, microseconds'],
      ...texts('toolstack', 'bridge', 'ip', 'script', 'type', 'vifname'),
      ...flags(
        'backend',
        'feature-rx-copy',
        'feature-rx-flip',
        'feature-sg',
        'feature-gso-tcpv4',
        'feature-gso-tcpv6',
      ),
      ...flags(
        'backend',
        'feature-ipv6-csum-offload',
        'feature-no-csum-offload',
        'feature-split-event-channels',
      ),
      ...flags(
        'backend',
        'feature-multicast-control',
        'feature-dynamic-multicast-control',
        'feature-xdp-headroom',
      ),
      ...flags('backend', 'feature-ctrl-ring'),
      ['multi-queue-max-queues', 'number', 'backend', ''],
    ],
  },
  '9pfs': {
    frontend: [
      ['tag', 'text', 'toolstack', 'what the guest mounts'],
      ...numbers('frontend', 'version', 'num-rings', 'ring-ref$N', 'event-channel-$N'),
    ],
    backend: [
      ...texts('toolstack', 'path', 'security_model', 'tag'),
      ['versions', 'text', 'backend', 'with commas between'],
      ...numbers('backend', 'max-rings', 'max-ring-page-order'),
    ],
  },
  console: {
    frontend: [
      ['limit', 'number', 'toolstack', '', 'hostGuestReads'],
      ['type', 'text', 'toolstack', '', 'hostGuestReads'],
      ['output', 'text', 'toolstack', '', 'hostGuestReads'],
      ['tty', 'text', 'backend', '', 'hostGuestReads'],
      ['name', 'text', 'toolstack', 'of a channel', 'hostGuestReads'],
      ['protocol', 'text', 'toolstack', ''],
      ...numbers('frontend', 'ring-ref', 'port'),
    ],
    backend: texts('toolstack', 'protocol', 'name', 'connection', 'path'),
  },
  vfb: {
    frontend: [
      ...numbers('frontend', 'page-ref', 'event-channel'),
      ['protocol', 'text', 'frontend', ''],
      ...flags('frontend', 'feature-update'),
    ],
    backend: [
      ...flags('toolstack', 'vnc', 'vncunused', 'sdl', 'opengl'),
      ...texts('toolstack', 'vnclisten', 'vncdisplay', 'keymap'),
      ...flags('backend', 'request-update', 'feature-resize'),
      ...numbers('backend', 'videoram', 'width', 'height'),
    ],
  },
  vkbd: {
    frontend: [
      ...numbers('frontend', 'page-ref', 'page-gref', 'event-channel'),
      ...flags('frontend', 'request-abs-pointer', 'request-raw-pointer', 'request-multi-touch'),
    ],
    backend: [
      ['unique-id', 'text', 'toolstack', ''],
      ...flags('backend', 'feature-abs-pointer', 'feature-raw-pointer', 'feature-multi-touch'),
      ...flags('backend', 'feature-disable-keyboard', 'feature-disable-pointer'),
      ...numbers(
        'backend',
        'width',
        'height',
        'multi-touch-width',
        'multi-touch-height',
        'multi-touch-num-contacts',
      ),
    ],
  },
}

function deviceRows(type: string, { frontend, backend }: DeviceKeys): Row[] {
  const front = `${own}/device/${type}/$DEVID`
  const back = `/local/domain/0/backend/${type}/$DOMID/$DEVID`
  const record = `/libxl/$DOMID/device/${type}/$DEVID`
  const allFront = [...COMMON.frontend, ...frontend]
  const allBack = [...COMMON.backend, ...backend]
  // What the toolstack told the backend it keeps for itself as well, out of a driver domain's reach.
  const kept = allBack.filter(
    ([key, , writer]) => writer === 'toolstack' || key === 'state' || key === 'hotplug-status',
  )
  return [
    [`${own}/device/${type}`, 'directory', 'hostGuestReads', 'toolstack', ''],
    [front, 'directory', 'guestHostReads', 'toolstack', ''],
    ...allFront.map(
      ([key, of, by, text, access = 'guestHostReads']) => [`${front}/${key}`, of, access, by, text] as const,
    ),
    [`/local/domain/0/backend/${type}`, 'directory', 'host', 'toolstack', ''],
    [`/local/domain/0/backend/${type}/$DOMID`, 'directory', 'host', 'toolstack', ''],
    [back, 'directory', 'hostGuestReads', 'toolstack', ''],
    ...allBack.map(([key, of, by, text]) => [`${back}/${key}`, of, 'hostGuestReads', by, text] as const),
    [`/libxl/$DOMID/device/${type}`, 'directory', 'host', 'toolstack', ''],
    [record, 'directory', 'host', 'toolstack', ''],
    [`${record}/backend`, 'path', 'host', 'toolstack', ''],
    ...kept.map(([key, of, , text]) => [`${record}/${key}`, of, 'host', 'toolstack', text] as const),
  ]
}

export const PATHS: readonly PathRow[] = [
  ...HOST,
  ...DOMAIN,
  ...Object.entries(DEVICES).flatMap(([type, keys]) => deviceRows(type, keys)),
].map(([pattern, type, access, writer, text]) => ({ pattern, type, access, writer, text }))

const VARIABLES: Readonly<Record<string, string>> = {
  DOMID: '[1-9]\\d*',
  UUID: '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}',
  DEVID: '\\d+',
  CPU: '\\d+',
  N: '\\d+',
}

const matchers = PATHS.map((row) => {
  const source = row.pattern.replace(/\$([A-Z]+)/g, (_, name: string) => VARIABLES[name]!)
  return { row, regexp: new RegExp(`^${source}$`) }
})

/** The row for an absolute path, or undefined if the list does not know it. */
export const pathRow = (path: string): PathRow | undefined =>
  matchers.find(({ regexp }) => regexp.test(path))?.row

const FORMS: Readonly<Record<ValueType, RegExp>> = {
  directory: /^$/,
  text: /^[^\0]*$/,
  number: /^-?\d+$/,
  flag: /^[01]$/,
  path: /^(\/[A-Za-z0-9\-_@]+)+$/,
  state: /^[0-8]$/,
  mac: /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/,
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
}

/** Whether a value has the form of its type. Nodes that were made and not given a value yet are empty. */
export const valueFits = (type: ValueType, value: string): boolean => value === '' || FORMS[type].test(value)
