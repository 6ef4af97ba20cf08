import fc from 'fast-check'
import t from 'tap'
import { Credit } from '../../../src/plugins/vif/credit.ts'
import {
  backendNodes,
  defaultMac,
  frontendNodes,
  type Vif,
  vifDevice,
} from '../../../src/plugins/vif/device.ts'
import { flowHash } from '../../../src/plugins/vif/flow.ts'
import { parseForwards } from '../../../src/plugins/vif/forward.ts'
import { FrameReader } from '../../../src/plugins/vif/frame-reader.ts'
import { MulticastGroups } from '../../../src/plugins/vif/multicast.ts'
import { namesArguments, passtArguments } from '../../../src/plugins/vif/passt.ts'
import { packet, pattern } from './packets.ts'

const vif = (settings: object): Vif =>
  vifDevice.parse({ devid: 0, mac: '00:16:3e:00:00:02', ...settings }) as Vif

t.test('frames come out of a stream whole, wherever it was cut', async () => {
  const frames = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 })
  fc.assert(
    fc.property(
      frames,
      fc.array(fc.nat(30), { minLength: 1 }),
      fc.constantFrom(2 as const, 4 as const),
      (sent, cuts, size) => {
        const stream = Buffer.concat(
          sent.flatMap((frame) => [Buffer.from([0, 0, 0, frame.length].slice(-size)), Buffer.from(frame)]),
        )
        const reader = new FrameReader(size, 100)
        const got: Uint8Array[] = []
        for (let at = 0, n = 0; at < stream.length; n++) {
          const length = cuts[n % cuts.length]! + 1
          got.push(...reader.push(new Uint8Array(stream.subarray(at, at + length)))!)
          at += length
        }
        return got.length === sent.length && sent.every((frame, n) => Buffer.compare(frame, got[n]!) === 0)
      },
    ),
  )
})

t.test('a length that cannot be ends a stream', async (t) => {
  t.equal(new FrameReader(4, 65535).push(Uint8Array.of(0, 1, 0, 0, 5)), undefined)
})

t.test('in the long run a rate is kept, and no frame waits for ever', async () => {
  const sizes = fc.array(fc.integer({ min: 14, max: 65535 }), { minLength: 200, maxLength: 300 })
  fc.assert(
    fc.property(
      sizes,
      fc.integer({ min: 1000, max: 200_000 }),
      fc.integer({ min: 1000, max: 100_000 }),
      (frames, bytes, interval) => {
        let now = 5000
        const credit = new Credit(bytes, interval, now)
        let sent = 0
        for (const size of frames) {
          for (let waits = 0; ; waits++) {
            const wait = credit.take(size, now)
            if (wait === 0) break
            if (wait < 0 || wait > interval || waits > 100) return false
            now += wait
          }
          sent += size
        }
        const intervals = Math.floor((now - 5000) / interval) + 1
        return sent <= intervals * bytes + 131_072
      },
    ),
    { numRuns: 50 },
  )
})

t.test('forwards are read as they are documented, and nothing else', async (t) => {
  t.same(parseForwards('vif 0', '2222:22 udp:0.0.0.0:5353:53  tcp:[::1]:8080:80'), [
    { protocol: 'tcp', address: '127.0.0.1', hostPort: 2222, guestPort: 22 },
    { protocol: 'udp', address: '0.0.0.0', hostPort: 5353, guestPort: 53 },
    { protocol: 'tcp', address: '::1', hostPort: 8080, guestPort: 80 },
  ])
  t.same(parseForwards('vif 0', ''), [])
  for (const wrong of [
    '80',
    'sctp:1:2',
    '0:80',
    '80:70000',
    '1.2.3:1:2',
    '-t:80:80',
    '80:80;id',
    '127.0.0.1/80:80',
  ])
    t.throws(() => parseForwards('vif 3', wrong), { code: 'XT_VIF_FORWARD', message: /^vif 3: / })
})

t.test('passt is told to keep the loopback of the host to itself unless asked', async (t) => {
  const options = { name: 'vif 0', mac: '00:16:3e:00:00:02', mtu: undefined, forwards: [] }
  t.ok(passtArguments({ ...options, hostLoopback: false }).includes('--no-map-gw'))
  t.notOk(passtArguments({ ...options, hostLoopback: true }).includes('--no-map-gw'))
  const forwards = parseForwards('vif 0', 'udp:2222:22 8080:80')
  const args = passtArguments({ ...options, mtu: 1400, forwards, hostLoopback: false }).join(' ')
  t.match(args, /--mtu 1400/)
  t.match(args, /--udp-ports 127\.0\.0\.1\/2222:22 --tcp-ports 127\.0\.0\.1\/8080:80/)
})

t.test('a guest asks the servers behind a resolver on the loopback, which it does not reach', async (t) => {
  const stub = '# by systemd-resolved\nnameserver 127.0.0.53\noptions edns0\n'
  const behind = 'nameserver 192.0.2.53\nnameserver ::1\nnameserver 2001:db8::53\n'
  t.same(namesArguments([stub, behind]), ['--dns', '192.0.2.53', '--dns', '2001:db8::53'])
  t.same(namesArguments(['nameserver 198.51.100.1\n', behind]), [])
  t.same(namesArguments([stub, '']), [])
})

t.test('nodes are those of libxl for the same settings', async (t) => {
  // As Xen 4.17 wrote them for mac=00:16:3e:00:00:02,bridge=xenbr0,ip=192.168.128.5,rate=10Mb/s,vifname=myvif,mtu=1400.
  const device = vif({
    devid: 1,
    bridge: 'xenbr0',
    ip: '192.168.128.5',
    vifname: 'myvif',
    mtu: 1400,
    script: '/etc/xen/scripts/vif-bridge',
    rateBytesPerInterval: 62500,
    rateIntervalUs: 50000,
  })
  t.same(backendNodes(device), {
    bridge: 'xenbr0',
    handle: '1',
    'hotplug-status': '',
    ip: '192.168.128.5',
    mac: '00:16:3e:00:00:02',
    mtu: '1400',
    rate: '62500,50000',
    script: '/etc/xen/scripts/vif-bridge',
    type: 'vif',
    vifname: 'myvif',
  })
  t.same(frontendNodes(device), { handle: '1', mac: '00:16:3e:00:00:02', mtu: '1400', trusted: '1' })
  t.same(frontendNodes(vif({ trusted: false })).mtu, '1500')
  t.equal(frontendNodes(vif({ trusted: false })).trusted, '0')
})

t.test("an address that is not named is one of Xen's random ones, and stays the same", async () => {
  fc.assert(
    fc.property(fc.uuid(), fc.nat(7), (uuid, devid) => {
      const mac = defaultMac(uuid, devid)
      return (
        /^00:16:3e:[0-7][0-9a-f]:[0-9a-f]{2}:[0-9a-f]{2}$/.test(mac) &&
        mac === defaultMac(uuid, devid) &&
        mac !== defaultMac(uuid, devid + 1)
      )
    }),
  )
})

t.test('frames of one flow go the same way, others are spread', async (t) => {
  const of = (port: number, version: 4 | 6) =>
    flowHash(packet(pattern(port % 50), { version, ports: [port, 80] }))
  for (const version of [4, 6] as const) {
    t.equal(of(1000, version), flowHash(packet(pattern(99), { version, ports: [1000, 80], sequence: 77 })))
    const ways = new Set(Array.from({ length: 64 }, (_, n) => of(1000 + n, version) % 4))
    t.equal(ways.size, 4)
  }
  t.equal(flowHash(new Uint8Array(14)), 0)
})

t.test('a guest that filters gets its groups, and may have 64', async (t) => {
  const groups = new MulticastGroups()
  const frame = (n: number) => Uint8Array.of(1, 0, 0x5e, 0, 0, n, 0, 0, 0, 0, 0, 0, 8, 0)
  t.ok(groups.wants(frame(1)))
  groups.isOn = true
  t.notOk(groups.wants(frame(1)))
  for (let n = 0; n < 64; n++) t.ok(groups.change(frame(n).subarray(0, 6), true))
  t.notOk(groups.change(frame(64).subarray(0, 6), true))
  t.ok(groups.change(frame(1).subarray(0, 6), true), 'one that is there')
  t.ok(groups.wants(frame(1)))
  groups.change(frame(1).subarray(0, 6), false)
  t.notOk(groups.wants(frame(1)))
  t.ok(groups.wants(new Uint8Array(14).fill(0xff)), 'what is for all')
})
