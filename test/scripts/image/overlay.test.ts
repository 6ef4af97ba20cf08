import t from 'tap'
import { overlayFiles, overlayLinks, PRIVATE_DIRECTORIES } from '../../../scripts/image/overlay.ts'
import { seedFiles } from '../../../scripts/image/seed.ts'

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHnobody me@here'
const files = (sshKeys: readonly string[]) =>
  new Map(overlayFiles({ hostname: 'box', sshKeys }).map((file) => [file.path, file]))

t.test('an image has a console, DHCP, the PV drivers in its initramfs and a boot entry', async (t) => {
  const all = files([])
  t.equal(all.get('etc/hostname')?.content, 'box\n')
  t.match(
    all.get('boot/grub/grub.cfg')?.content,
    /linux \/vmlinuz root=\/dev\/xvda ro console=hvc0\n {2}initrd/,
  )
  t.match(all.get('usr/share/initramfs-tools/modules.d/xt')?.content, /^xen_blkfront$/m)
  t.match(all.get('etc/systemd/network/80-dhcp.network')?.content, /^DHCP=yes$/m)
  for (const { target } of overlayLinks()) t.equal(target, '/dev/null')
})

t.test(
  "a key lets root in over ssh, in a file that is root's alone; without one there is no such file",
  async (t) => {
    t.notOk(files([]).has('root/.ssh/authorized_keys'))
    t.match(files([KEY]).get('root/.ssh/authorized_keys'), { content: `${KEY}\n`, mode: 0o600 })
    t.ok(PRIVATE_DIRECTORIES.has('root/.ssh'))
  },
)

t.test("a seed is cloud-init's two files, and what is given cannot change their structure", async (t) => {
  const options = {
    hostname: 'box',
    user: 'a"\nruncmd: [evil',
    sshKeys: [KEY],
    password: undefined,
    instanceId: '7',
  }
  const { userData, metaData } = seedFiles(options)
  t.ok(userData.startsWith('#cloud-config\n'))
  const config = JSON.parse(userData.slice('#cloud-config\n'.length))
  t.same(Object.keys(config), ['hostname', 'preserve_hostname', 'users', 'ssh_pwauth', 'ssh_genkeytypes'])
  t.match(config.users, [{ name: options.user, ssh_authorized_keys: [KEY] }])
  t.same(JSON.parse(metaData), { 'instance-id': '7', 'local-hostname': 'box' })
  const account = JSON.parse(seedFiles({ ...options, password: 'pw' }).userData.slice(14)).users[0]
  t.match(account, { plain_text_passwd: 'pw', lock_passwd: false })
})
