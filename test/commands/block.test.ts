/** block-attach, block-detach, cd-insert and cd-eject, with a domain that is driven by the test. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { XtError } from '../../src/base/errors.ts'
import { FakeDomain, xt, xtHome } from './fake-domain.ts'

t.setTimeout(300_000)

t.test('the words of block-attach reach the domain as a disk, in both forms', async (t) => {
  const home = xtHome(t)
  const domain = await FakeDomain.start(t, home)
  const asked: object[] = []
  domain.onDevice = (what, request) => {
    asked.push({ what, ...request })
    return { id: 51728, name: 'xvdb', spec: null }
  }
  const words = ['block-attach', 'con', '/srv/a.img', 'raw', 'xvdb', 'w', '--json']
  const { status, stdout } = await xt(home, ...words)
  t.equal(status, 0)
  t.match(JSON.parse(stdout), { id: 51728, vdev: 'xvdb' })
  t.match(asked, [
    {
      what: 'attach',
      kind: 'vbd',
      spec: { target: '/srv/a.img', format: 'raw', vdev: 'xvdb', vdevNumber: 51728, readwrite: true },
      libxl: { pdev_path: '/srv/a.img', vdev: 'xvdb', format: 'raw', readwrite: 1 },
    },
  ])
  await xt(home, 'block-attach', 'con', 'vdev=xvdb', 'target=vmdk:a.vmdk')
  t.match(asked.at(-1), { spec: { target: `vmdk:${process.cwd()}/a.vmdk` } }, 'paths are taken from here')
  await xt(home, 'block-attach', 'con', 'vdev=xvdb,target=nbd://host/a')
  t.match(asked.at(-1), { spec: { target: 'nbd://host/a' } })
  const detached = await xt(home, 'block-detach', '-f', 'con', '51728', '--json')
  t.match(JSON.parse(detached.stdout), { id: 51728, vdev: 'xvdb' })
  t.match(asked.at(-1), { what: 'detach', kind: 'vbd', id: 51728, force: true })
})

t.test('-N block-attach shows the disk as libxl has it, and asks no domain', async (t) => {
  const { status, stdout } = await xt(xtHome(t), '-N', 'block-attach', '0', '/srv/a.img,raw,xvda,r')
  t.equal(status, 0)
  t.equal(
    stdout,
    `disk: {
    "pdev_path": "/srv/a.img",
    "vdev": "xvda",
    "format": "raw"
}

`,
  )
})

t.test('mistakes have the words and statuses of xl', async (t) => {
  const home = xtHome(t)
  const domain = await FakeDomain.start(t, home)
  domain.onDevice = () => {
    throw new XtError('XT_NO_SUCH_DEVICE', 'there is no vbd 51760')
  }
  for (const [words, status, said] of [
    [
      ['block-attach', 'con', '/srv/a.img'],
      1,
      /^command line: config parsing error in disk specification: no vdev specified in `\/srv\/a\.img'/,
    ],
    [
      ['block-attach', 'con', 'vdev=xvda,format=no,target=/a'],
      1,
      /unknown value for format: near `no' in `vdev=xvda,format=no,target=\/a'/,
    ],
    [['block-attach', 'con', '/a,raw,vda,w'], 1, /"vda" is no name of a disk/],
    [['block-attach', 'con'], 2, /'xt block-attach' requires at least 2 arguments\./],
    [['block-attach', 'none', '/a,raw,xvda,w'], 1, /none is an invalid domain identifier/],
    [['block-detach', 'con', 'xvdd'], 1, /Error: Device xvdd not connected\./],
    [['block-detach', 'con', 'nosuch'], 1, /Error: Device nosuch not connected\./],
    [['block-detach', 'con'], 2, /'xt block-detach' requires at least 2 arguments\./],
    [['cd-insert', 'con', 'hdc'], 2, /'xt cd-insert' requires at least 3 arguments\./],
    [['cd-insert', 'con', 'hdc', '/nowhere.iso'], 1, /Cannot stat file: \/nowhere\.iso/],
    [['-N', 'cd-insert', 'con', 'hdc', '/nowhere.iso'], 1, /Cannot stat file: \/nowhere\.iso/],
    [['cd-eject', 'con', 'hdc'], 1, /Device hdc not connected/],
  ] as const) {
    const result = await xt(home, ...words)
    t.equal(result.status, status, words.join(' '))
    t.match(result.stderr, said)
  }
})

t.test('cd-insert and cd-eject change a drive, and nothing else', async (t) => {
  const home = xtHome(t)
  const iso = join(home, 'a.iso')
  writeFileSync(iso, 'disc')
  const domain = await FakeDomain.start(t, home)
  const base = { vdevNumber: 51744, format: 'empty', readwrite: false, trusted: false }
  domain.devices = [
    { id: 51744, name: 'xvdc', spec: { ...base, vdev: 'xvdc', cdrom: true } },
    { id: 51712, name: 'xvda', spec: { ...base, vdev: 'xvda', format: 'raw', target: '/a' } },
  ]
  const asked: object[] = []
  domain.onDevice = (what, request) => {
    asked.push({ what, ...request })
    return { id: 51744, name: 'xvdc', spec: null }
  }
  t.match(JSON.parse((await xt(home, 'cd-insert', 'con', 'xvdc', iso, '--json')).stdout), {
    vdev: 'xvdc',
    target: iso,
  })
  t.equal((await xt(home, 'cd-eject', 'con', 'xvdc')).status, 0)
  t.match(asked, [
    { what: 'change', id: 51744, spec: { target: iso, format: 'raw', cdrom: true, trusted: false } },
    { what: 'change', id: 51744, spec: { format: 'empty', cdrom: true } },
  ])
  t.match(await xt(home, 'cd-insert', 'con', 'xvda', iso), { status: 1, stderr: /xvda is no CD drive/ })
})
