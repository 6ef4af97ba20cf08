/** Debian guests with network interfaces: user-mode networking, a switch between guests, interfaces that come and go. */
import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import t, { type Test } from 'tap'
import { debianKernel, debianModules } from '../../scripts/assets/fetch-debian-kernel.ts'
import { initramfs } from '../../scripts/assets/make-initramfs.ts'
import { debianArguments, type GuestConsole, GuestLab, until } from './guest.ts'
import { enterOwnNetwork } from './own-network.ts'

const noNetwork = enterOwnNetwork()
t.setTimeout(600_000)

async function filesOf() {
  if (noNetwork !== false) return noNetwork
  try {
    const { vmlinuz } = await debianKernel()
    return { vmlinuz, ramdisk: await initramfs({ modules: await debianModules(['xen-netfront']) }) }
  } catch (error) {
    return (error as Error).message
  }
}
const files = await filesOf()
const noGuest = typeof files === 'string' ? files : false
const isThere = (program: string) => spawnSync(program, ['--version']).error === undefined
const noPasst = noGuest || (isThere('passt') ? false : 'no passt (Debian: passt)')
const noVde =
  noGuest || (isThere('vde_switch') && isThere('vde_plug') ? false : 'no VDE (Debian: vde2, vdeplug)')

async function boot(lab: GuestLab, name: string, vif: string): Promise<GuestConsole> {
  if (typeof files === 'string') throw new Error(files)
  await lab.must(...debianArguments(files, { name, vcpus: 2 }), `vif=["${vif}"]`)
  const console = lab.console(name)
  await console.sees(/Root shell on hvc0\./)
  // What the kernel has to say would stand among the answers.
  await console.ask('dmesg -n 1')
  return console
}

const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex')

/** Serves these bytes on a port of the loopback; `asked` counts requests. */
async function serve(t: Test, bytes: Uint8Array): Promise<{ port: number; asked: () => number }> {
  let asked = 0
  const server: Server = createServer((_request, response) => {
    asked++
    response.end(bytes)
  })
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle))
  t.teardown(() => server.closeAllConnections())
  t.teardown(() => server.close())
  return { port: (server.address() as AddressInfo).port, asked: () => asked }
}

/** A port that is free now. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle))
  const { port } = server.address() as AddressInfo
  await new Promise((settle) => server.close(settle))
  return port
}

/** What a server on a port of the loopback says of itself, and then to one line. */
async function lines(port: number, line: string): Promise<readonly string[]> {
  let said = ''
  const socket = connect(port, '127.0.0.1').setEncoding('utf8')
  socket.on('data', (text: string) => {
    if (said === '') socket.write(line)
    said += text
  })
  await until('the server has said two lines', () => said.split('\n').length > 2)
  socket.destroy()
  return said.trimEnd().split('\n')
}

t.test('user-mode networking', { skip: noPasst }, async (t) => {
  const lab = new GuestLab(t)
  const bytes = randomBytes(3_000_001)
  const { port, asked } = await serve(t, bytes)
  const [forwarded, greeting] = [await freePort(), await freePort()]
  const guest = await boot(lab, 'net', `hostloopback=1,forward=${forwarded}:80 ${greeting}:25`)

  await t.test('the guest gets address, route, largest packet and names by DHCP', async (t) => {
    t.match(await guest.ask('udhcpc -i eth0 -n -q -O mtu 2>&1'), /lease of 198\.51\.100\.2 obtained/)
    t.match(await guest.ask('ip route'), /default via 198\.51\.100\.1 dev eth0/)
    t.match(await guest.ask('ip link show eth0'), /mtu 65517 .*\n.*link\/ether 00:16:3e:/)
  })
  await t.test('a guest with two processors has two queues', async (t) => {
    t.match(await guest.ask('echo /sys/class/net/eth0/queues/rx-*'), /rx-0 \S*rx-1$/)
  })
  await t.test('what the guest fetches from the host is what the host has', async (t) => {
    const fetched = `wget -q -O - http://198.51.100.1:${port}/ | md5sum`
    t.equal((await guest.ask(fetched)).slice(0, 32), md5(bytes))
    // Without room for large packets the stream comes in many segments.
    await guest.ask('ip link set eth0 mtu 1500')
    t.equal((await guest.ask(fetched)).slice(0, 32), md5(bytes))
    t.equal(asked(), 2)
  })
  await t.test('a forwarded port leads to a server in the guest', async (t) => {
    const made =
      'dd if=/dev/urandom of=/tmp/file bs=4k count=700 2>/dev/null; httpd -p 80 -h /tmp; md5sum </tmp/file'
    const sum = (await guest.ask(made)).slice(0, 32)
    const answer = await fetch(`http://127.0.0.1:${forwarded}/file`)
    t.equal(md5(new Uint8Array(await answer.arrayBuffer())), sum)
  })
  await t.test('a forwarded port leads to a server that has the first word', async (t) => {
    await guest.ask(
      `printf '#!/bin/sh\\necho 220 the guest\\nread reply\\necho "$reply, too"\\n' >/tmp/greet`,
    )
    await guest.ask('chmod +x /tmp/greet; (nc -ll -p 25 -e /tmp/greet >/dev/null 2>&1 &)')
    await guest.ask('while ! netstat -ltn | grep -q :25; do sleep 0.1; done')
    const greeted = await lines(greeting, 'welcome\n')
    t.same(greeted, ['220 the guest', 'welcome, too'])
  })
  await t.test(
    'an interface that is attached takes over, and does not reach the loopback of the host',
    async (t) => {
      const attached = JSON.parse(await lab.must('network-attach', 'net', 'mac=00:16:3e:11:22:33', '--json'))
      t.match(attached, { id: 1, mac: '00:16:3e:11:22:33' })
      await guest.ask('ip link set eth0 down; while ! [ -e /sys/class/net/eth1 ]; do sleep 0.2; done')
      t.match(await guest.ask('udhcpc -i eth1 -n -q 2>&1'), /lease of 198\.51\.100\.2 obtained/)
      t.match(
        await guest.ask(`wget -T 2 -O /dev/null http://198.51.100.1:${port}/ 2>&1 || echo "it failed"`),
        /it failed/,
      )
      t.equal(asked(), 2)
      const rows = (await lab.must('network-list', 'net')).split('\n')
      t.match(rows[2], /^1 {3}0 {2}00:16:3e:11:22:33 {5}1 {5}4 /)
    },
  )
  await t.test('an interface that is detached is gone', async (t) => {
    await lab.must('network-detach', 'net', '00:16:3e:11:22:33')
    // The frontend is closed; its driver takes the interface away only then.
    await guest.ask('while [ -e /sys/class/net/eth1 ]; do sleep 0.2; done')
    t.equal(await guest.ask('echo /sys/class/net/*'), '/sys/class/net/eth0 /sys/class/net/lo')
    t.equal((await lab.must('network-list', 'net')).split('\n').length, 3)
    t.match(await lab.xt('network-detach', 'net', '1'), { status: 1, stderr: /^Unknown device 1\./ })
  })
  await t.test('nothing of it outlives a domain process that is killed', async (t) => {
    const { pid } = await lab.info('net')
    const passts = () =>
      spawnSync('pgrep', ['-P', String(pid), 'passt'], { encoding: 'utf8' })
        .stdout.trim()
        .split('\n')
    const own = passts()
    t.match(own, [/^\d+$/])
    process.kill(pid, 'SIGKILL')
    await until('passt ends', () => spawnSync('kill', ['-0', own[0]!]).status !== 0)
    await until('its remains are cleared away', async () => (await lab.row('net')) === undefined)
  })
})

t.test('two guests on one switch reach one another', { skip: noVde }, async (t) => {
  const lab = new GuestLab(t)
  const [left, right] = await Promise.all([
    boot(lab, 'left', 'bridge=vde:lan'),
    boot(lab, 'right', 'bridge=vde:lan,mac=00:16:3e:00:00:02'),
  ])
  await left.ask('ip address add 10.1.1.1/24 dev eth0; ip link set eth0 up')
  await right.ask('ip address add 10.1.1.2/24 dev eth0; ip link set eth0 up')
  t.match(await left.ask('ping -c 2 -w 60 10.1.1.2'), /[12] packets received/)
  const made =
    'dd if=/dev/urandom of=/tmp/file bs=4k count=500 2>/dev/null; httpd -p 80 -h /tmp; md5sum </tmp/file'
  const sum = await left.ask(made)
  t.equal(await right.ask('wget -q -O - http://10.1.1.1/file | md5sum'), sum)
  await lab.must('destroy', 'left')
  await lab.must('destroy', 'right')
  t.same(await lab.leftovers(), [], 'the switch ends with its last interface')
})

t.test('an interface that cannot be is an error that names it', { skip: noGuest }, async (t) => {
  const lab = new GuestLab(t)
  if (typeof files === 'string') return
  for (const [vif, said] of [
    ['forward=80', /vif 0: forward=80 cannot be read/],
    ['bridge=vde:no/name', /vif 0: bridge=vde:no\/name is no name of a switch/],
    ['bridge=vde:/nowhere', /vif 0: no switch answers in \/nowhere/],
  ] as const) {
    const { status, stderr } = await lab.xt(...debianArguments(files, { name: 'wrong' }), `vif=["${vif}"]`)
    t.not(status, 0)
    t.match(stderr, said)
  }
  t.same(await lab.leftovers(), [])
})
