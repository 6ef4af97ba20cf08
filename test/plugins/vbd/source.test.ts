import t from 'tap'
import { sourceOf } from '../../../src/plugins/vbd/source.ts'

const source = (target: string, format: 'raw' | 'qcow2' | 'vhd' = 'raw', readwrite = true) =>
  sourceOf({ vdev: 'xvda', format, readwrite, target })

t.test('a raw target is a path of the host, whatever it looks like', async (t) => {
  for (const path of ['/srv/a.img', 'a:b', '/dev/vg/web', 'nbd', 'rbd:pool/x', '/srv/vmdk:a'])
    t.same(source(path), { kind: 'here', path })
})

for (const [target, format, blockdev, path] of [
  ['/a.qcow2', 'qcow2', { driver: 'qcow2', file: { driver: 'file', filename: '/a.qcow2' } }, '/a.qcow2'],
  ['/a.vhd', 'vhd', { driver: 'vpc', file: { driver: 'file', filename: '/a.vhd' } }, '/a.vhd'],
  ['vmdk:/a b', 'raw', { driver: 'vmdk', file: { driver: 'file', filename: '/a b' } }, '/a b'],
  ['vhdx:/a', 'raw', { driver: 'vhdx', file: { driver: 'file', filename: '/a' } }, '/a'],
  [
    'nbd://h/ex%20port',
    'raw',
    {
      driver: 'raw',
      file: { driver: 'nbd', server: { type: 'inet', host: 'h', port: '10809' }, export: 'ex port' },
    },
  ],
  [
    'nbd:10.0.0.1:99:exportname=a:b',
    'qcow2',
    {
      driver: 'qcow2',
      file: { driver: 'nbd', server: { type: 'inet', host: '10.0.0.1', port: '99' }, export: 'a:b' },
    },
  ],
  ['nbd:unix:/s', 'raw', { driver: 'raw', file: { driver: 'nbd', server: { type: 'unix', path: '/s' } } }],
  [
    'nbd+unix:///e?socket=/run/s',
    'raw',
    { driver: 'raw', file: { driver: 'nbd', server: { type: 'unix', path: '/run/s' }, export: 'e' } },
  ],
  [
    'ssh://me@[::1]:2222/srv/a.img',
    'raw',
    {
      driver: 'raw',
      file: { driver: 'ssh', server: { host: '::1', port: '2222' }, path: '/srv/a.img', user: 'me' },
    },
  ],
] as const) {
  t.test(`${target} (${format})`, async (t) => {
    t.same(source(target, format), { kind: 'daemon', blockdev, path })
  })
}

t.test('what cannot be is refused', async (t) => {
  const url = 'https://host/a.img'
  t.same(source(url, 'raw', false), {
    kind: 'daemon',
    blockdev: { driver: 'raw', file: { driver: 'https', url } },
    path: undefined,
  })
  t.throws(() => source(url), { code: 'XT_VBD_TARGET', message: /access=ro/ })
  t.throws(() => source('vdi:/a', 'qcow2'), { code: 'XT_VBD_TARGET', message: /vdi and format=qcow2/ })
  t.throws(() => source('nbd:///x'), { code: 'XT_VBD_TARGET', message: /no host/ })
  t.throws(() => source('nbd+unix:///x'), { code: 'XT_VBD_TARGET', message: /socket/ })
  t.throws(() => source('ssh:///x'), { code: 'XT_VBD_TARGET' })
  t.throws(() => source('https://[x'), { code: 'XT_VBD_TARGET', message: /no URL/ })
})
