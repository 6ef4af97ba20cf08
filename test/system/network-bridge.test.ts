/** Debian guests on bridges of the host: by Xen's own script where it is installed, else joined by xt itself. */
import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import t from 'tap'
import { debianKernel, debianModules } from '../../scripts/assets/fetch-debian-kernel.ts'
import { initramfs } from '../../scripts/assets/make-initramfs.ts'
import { openBridged } from '../../src/plugins/vif/bridge.ts'
import { type Vif, vifDevice } from '../../src/plugins/vif/device.ts'
import { debianArguments, GuestLab, until } from './guest.ts'
import { enterOwnNetwork } from './own-network.ts'

const noNetwork = enterOwnNetwork()
t.setTimeout(600_000)

const ip = (...args: readonly string[]) => spawnSync('ip', args, { encoding: 'utf8' })

async function filesOf() {
  if (noNetwork !== false) return noNetwork
  if (!existsSync('/dev/net/tun')) return 'no /dev/net/tun'
  if (ip('link', 'add', 'xtbr', 'type', 'bridge').status !== 0) return 'no bridges in this kernel'
  try {
    await import('koffi')
  } catch {
    return 'no koffi (an optional package)'
  }
  ip('address', 'add', '10.2.2.1/24', 'dev', 'xtbr')
  ip('link', 'set', 'xtbr', 'up')
  try {
    const { vmlinuz } = await debianKernel()
    return { vmlinuz, ramdisk: await initramfs({ modules: await debianModules(['xen-netfront']) }) }
  } catch (error) {
    return (error as Error).message
  }
}
const files = await filesOf()
const skip = typeof files === 'string' ? files : false
const SCRIPT = '/etc/xen/scripts/vif-bridge'
const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex')

t.test(
  'a guest on a bridge fetches what the host has, with small and with large packets',
  { skip },
  async (t) => {
    if (typeof files === 'string') return
    const lab = new GuestLab(t)
    const bytes = randomBytes(3_000_001)
    const server = createServer((_request, response) => response.end(bytes))
    await new Promise<void>((settle) => server.listen(0, '10.2.2.1', settle))
    t.teardown(() => server.close())
    const { port } = server.address() as { port: number }
    const vif = 'bridge=xtbr,mac=00:16:3e:00:00:07'
    await lab.must(...debianArguments(files, { name: 'bridged' }), `vif=["${vif}"]`)
    const { domid } = await lab.info('bridged')
    const path = `/local/domain/0/backend/vif/${domid}/0`
    t.equal(await lab.must('xenstore', 'read', `${path}/hotplug-status`), 'connected\n')
    const device = `vif${domid}.0`
    t.match(ip('link', 'show', 'dev', device).stdout, /master xtbr/)
    const guest = lab.console('bridged')
    await guest.sees(/Root shell on hvc0\./)
    await guest.ask('dmesg -n 1; ip address add 10.2.2.2/24 dev eth0; ip link set eth0 up')
    t.match(await guest.ask('ping -c 2 -w 60 10.2.2.1'), /[12] packets received/)
    const sum = (await guest.ask(`wget -q -O - http://10.2.2.1:${port}/ | md5sum`)).slice(0, 32)
    t.equal(sum, md5(bytes))
    const made =
      'dd if=/dev/urandom of=/tmp/file bs=4k count=500 2>/dev/null; httpd -p 80 -h /tmp; md5sum </tmp/file'
    const own = (await guest.ask(made)).slice(0, 32)
    const answer = await fetch('http://10.2.2.2/file')
    t.equal(md5(new Uint8Array(await answer.arrayBuffer())), own)
    await lab.must('destroy', 'bridged')
    t.not(ip('link', 'show', 'dev', device).status, 0, 'the device goes with the domain')
    t.same(await lab.leftovers(), [])
  },
)

t.test('without scripts xt joins a bridge itself, and frames go both ways', { skip }, async (t) => {
  const vif = vifDevice.parse({ devid: 3, mac: '00:16:3e:00:00:03', bridge: 'xtbr', mtu: 1400 }) as Vif
  const readNode = async () => undefined
  const port = await openBridged({
    name: 'vif 3',
    vif,
    domid: 9,
    script: undefined,
    storeSocket: '',
    readNode,
  })
  t.match(ip('link', 'show', 'dev', 'vif9.3').stdout, /mtu 1400 .*master xtbr/)
  t.equal(port.maxFrameBytes, 1418)
  const frames: Uint8Array[] = []
  port.listen({
    receive: (more) => frames.push(...more),
    drained: () => {},
    closed: (why) => t.fail(why),
  })
  // "Who has 10.2.2.1?", asked by 10.2.2.9.
  const own = [0x00, 0x16, 0x3e, 0, 0, 3]
  const from = [...own, 10, 2, 2, 9]
  const to = [0, 0, 0, 0, 0, 0, 10, 2, 2, 1]
  const ask = [...Array(6).fill(0xff), ...own, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, ...from, ...to]
  const isAnswer = (frame: Uint8Array) => frame[12] === 8 && frame[13] === 6 && frame[21] === 2
  await until('an answer', () => {
    const bytes = Uint8Array.from(ask)
    port.send({ bytes, frames: [bytes] })
    return frames.some(isAnswer)
  })
  t.same([...frames.find(isAnswer)!.subarray(28, 32)], [10, 2, 2, 1])
  await port[Symbol.asyncDispose]()
  t.not(ip('link', 'show', 'dev', 'vif9.3').status, 0)
})

t.test('a bridge that is not there is an error that names it', { skip }, async (t) => {
  if (typeof files === 'string') return
  const lab = new GuestLab(t)
  const script = existsSync(SCRIPT) ? /nobr/ : /vif 0: this host has no bridge nobr/
  const { status, stderr } = await lab.xt(...debianArguments(files, { name: 'wrong' }), 'vif=["bridge=nobr"]')
  t.not(status, 0)
  t.match(stderr, script)
  t.same(await lab.leftovers(), [])
})
