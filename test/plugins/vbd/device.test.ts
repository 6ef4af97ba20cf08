/** The nodes of a disk beside those of Xen 4.17 with Linux' backend (fixtures/: xenstore-ls of a running guest). */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { domid } from '../../../src/base/brand.ts'
import { createLog } from '../../../src/base/log.ts'
import { VbdBackend } from '../../../src/plugins/vbd/backend.ts'
import { backendNodes, frontendNodes, mustBeServed, vbdDevice } from '../../../src/plugins/vbd/device.ts'
import { DiskRings } from '../../../src/plugins/vbd/rings.ts'
import { BackendBus } from '../../../src/xen/xenbus/backend-bus.ts'
import { MemoryStore } from '../../xen/xenbus/memory-store.ts'
import { Frontend, MemoryDisk, settle } from './frontend.ts'

const settings = { cdromsAsDisks: false }
const defer = (task: () => void) => void setImmediate(task)
const disk = (more: object) => {
  const given = { target: '/d.raw', vdev: 'xvda', vdevNumber: 51712, format: 'raw', readwrite: true }
  return vbdDevice.parse({ ...given, ...more })
}

/** `path = "value"   (perms)` for the disks of the fixture, without what names the reference's loop devices. */
function golden(file: string): Map<string, string> {
  const text = readFileSync(new URL(`./fixtures/${file}`, import.meta.url), 'utf8')
  const nodes = [...text.matchAll(/^(\S+\/vbd\/\S+) = "(.*)" +\((.*)\)$/gm)].map(
    ([, path, value, perms]) => [path!, `${value} (${perms})`] as const,
  )
  return new Map(nodes.filter(([path]) => !/\/(node|physical-device(-path)?)$/.test(path)))
}

for (const [file, id, specs] of [
  ['pvh-disk.txt', 2, [{ target: '/domu/disk1.raw' }]],
  [
    'pvh-disks-ro-cdrom.txt',
    8,
    [
      { target: '/domu/disk1.raw' },
      { target: '/domu/disk2.raw', vdev: 'xvdb', vdevNumber: 51728, readwrite: false },
      {
        target: '/domu/cd.iso',
        vdev: 'xvdc',
        vdevNumber: 51744,
        readwrite: false,
        cdrom: true,
        removable: true,
      },
    ],
  ],
] as const) {
  t.test(`${file}: the same nodes, values and permissions`, async (t) => {
    const frontend = new Frontend()
    t.teardown(() => frontend[Symbol.dispose]())
    const store = new MemoryStore()
    const log = createLog(() => {})
    const bus = new BackendBus({
      domid: domid(id),
      xenstore: store,
      // The ring is one of another domain: its number is all that the device must not see.
      xenhost: () => ({
        ...frontend.host,
        xenstore: store,
        gnttab: {
          ...frontend.host.gnttab,
          map: (_domid, refs, access) => frontend.host.gnttab.map(domid(6), refs, access),
        },
      }),
      log,
    })
    const wanted = golden(file)
    for (const spec of specs) {
      const device = mustBeServed(disk(spec), settings)
      const memory = new MemoryDisk(wantedSectors(wanted, device.vdevNumber))
      if (!device.readwrite) delete memory.discard
      await bus.add({
        type: 'vbd',
        id: device.vdevNumber,
        connectOn: 'Initialised',
        frontend: frontendNodes(device),
        backend: backendNodes(device),
        create: (xenhost, frontendPath) =>
          new VbdBackend(
            xenhost,
            { domid: domid(id), frontendPath },
            {
              disk: device,
              medium: memory,
              rings: (handle) => new DiskRings(handle, { store: memory, defer, log }),
              persistentGrants: true,
              maxQueues: 1,
              log,
            },
          ),
      })
    }
    // The guest's part: what its driver wrote in the reference, with a ring of ours behind it.
    for (const [path, text] of wanted) {
      const value = text.slice(0, text.lastIndexOf(' ('))
      const [, name] = /\/domain\/\d+\/device\/vbd\/\d+\/(.*)/.exec(path) ?? []
      if (name === undefined || store.nodes.has(path)) continue
      store.perms.set(path, [`n${id}`, 'r0'])
      await store.write(path, name === 'ring-ref' ? '8' : value)
    }
    const states = [...wanted].filter(([path]) => /\/domain\/[1-9]\d*\/device\/vbd\/\d+\/state$/.test(path))
    for (const [path, text] of states) if (text.startsWith('4')) await store.write(path, '3')
    await settle()
    for (const [path, text] of states) await store.write(path, text.slice(0, 1))
    await settle()
    const ringRef = /\/ring-ref$/
    const ours = [...store.nodes].filter(([path]) => !ringRef.test(path))
    t.same(
      Object.fromEntries(ours.map(([path, value]) => [path, value]).sort()),
      Object.fromEntries(
        [...wanted]
          .filter(([path]) => !ringRef.test(path))
          .map(([path, text]) => [path, text.slice(0, text.lastIndexOf(' ('))])
          .sort(),
      ),
    )
    for (const [path, perms] of store.perms) t.match(wanted.get(path), `(${perms.join(',')})`, path)
    await bus.close()
    t.same(
      [...store.nodes.keys()].filter((path) => path.includes('/vbd/') && !ringRef.test(path)),
      [],
    )
  })
}

function wantedSectors(wanted: ReadonlyMap<string, string>, number: number): number {
  const [, text] = [...wanted].find(([path]) => path.endsWith(`/${number}/sectors`)) ?? []
  return Number.parseInt(text ?? '8', 10)
}

for (const [what, more, expected] of [
  ['a disk without a target', { format: 'empty', target: undefined }, { code: 'XT_VBD_NO_TARGET' }],
  ['a driver domain', { backend: 'storage' }, { code: 'XT_VBD_UNSUPPORTED', message: /backend=storage/ }],
  [
    'a format for phy',
    { backendtype: 'phy', format: 'qcow2' },
    { code: 'XT_VBD_UNSUPPORTED', hint: /qdisk/ },
  ],
  ['virtio', { specification: 'virtio' }, { code: 'XT_VBD_UNSUPPORTED', message: /specification=virtio/ }],
  ['a script for a format', { script: 'block-x', format: 'qcow2' }, { code: 'XT_VBD_UNSUPPORTED' }],
] as const) {
  t.test(`${what} is refused with what it would need`, async (t) => {
    t.throws(() => mustBeServed(disk(more), settings), expected)
  })
}

t.test('a drive may be empty, and may be shown as a disk', async (t) => {
  const drive = disk({ format: 'empty', target: undefined, cdrom: true, readwrite: false })
  t.equal(backendNodes(mustBeServed(drive, settings))['params'], '')
  t.equal(frontendNodes(mustBeServed(drive, settings))['device-type'], 'cdrom')
  t.equal(frontendNodes(mustBeServed(drive, { cdromsAsDisks: true }))['device-type'], 'disk')
})

t.test('another format is told as libxl tells it', async (t) => {
  const device = mustBeServed(disk({ target: '/domu/disk3.qcow2', format: 'qcow2' }), settings)
  const { params, type, script } = backendNodes(device)
  t.same({ params, type, script }, { params: 'qcow2:/domu/disk3.qcow2', type: 'qdisk', script: undefined })
})

t.test('raw disks of domain 0 are served', async (t) => {
  for (const more of [
    {},
    { backend: '0' },
    { backend: 'Domain-0' },
    { backendtype: 'phy' },
    { backendtype: 'qdisk' },
  ])
    t.equal(mustBeServed(disk(more), settings).target, '/d.raw')
  t.equal(backendNodes(mustBeServed(disk({ discard: false }), settings))['discard-enable'], '0')
  t.equal(frontendNodes(mustBeServed(disk({ trusted: false }), settings))['trusted'], '0')
})
