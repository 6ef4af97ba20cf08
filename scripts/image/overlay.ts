/**
 * The files that make a Debian system a good guest: a console to log in on, DHCP, an initramfs with the PV drivers, a
 * boot entry, and host keys of its own. Pure: paths and contents.
 */

export interface OverlayOptions {
  readonly hostname: string
  /** Public keys for root. */
  readonly sshKeys: readonly string[]
}

export interface OverlayFile {
  /** Below the root, without the first slash. */
  readonly path: string
  readonly content: string
  readonly mode?: number
}
export interface OverlayLink {
  readonly path: string
  readonly target: string
}

export const COMMAND_LINE = 'root=/dev/xvda ro console=hvc0'

/** Drivers that the initramfs loads: it is for this machine alone, so that it is small. */
const INITRAMFS_MODULES = ['xen_blkfront', 'xen_netfront', 'ext4', 'crc32c_generic', 'isofs']

/** What a guest has no use for, or would do behind one's back. */
const MASKED_UNITS = [
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'getty@tty1.service',
]

/** `/vmlinuz` and `/initrd.img` are links that Debian's kernel packages keep on the newest. */
const GRUB = `set timeout=1
set default=0
menuentry "Debian GNU/Linux" {
  insmod xzio
  linux /vmlinuz ${COMMAND_LINE}
  initrd /initrd.img
}
`

/** The keys in a package would be everybody's; one kind is enough, and quickly made. */
const HOST_KEY = '/etc/ssh/ssh_host_ed25519_key'
const SSH_SERVICE = `[Service]
ExecStartPre=
ExecStartPre=/bin/sh -c 'test -s ${HOST_KEY} || ssh-keygen -q -t ed25519 -N "" -f ${HOST_KEY}'
ExecStartPre=/usr/sbin/sshd -t
`

const NETWORK = `[Match]
Type=ether

[Network]
DHCP=yes

[Link]
RequiredForOnline=no
`

export function overlayFiles({ hostname, sshKeys }: OverlayOptions): readonly OverlayFile[] {
  const keys = sshKeys.map((key) => `${key}\n`).join('')
  return [
    { path: 'etc/hostname', content: `${hostname}\n` },
    {
      path: 'etc/hosts',
      content: `127.0.0.1 localhost\n127.0.1.1 ${hostname}\n::1 localhost ip6-localhost\n`,
    },
    { path: 'etc/fstab', content: '/dev/xvda / ext4 errors=remount-ro 0 1\n' },
    { path: 'etc/machine-id', content: 'uninitialized\n' },
    { path: 'etc/systemd/network/80-dhcp.network', content: NETWORK },
    { path: 'etc/systemd/system/ssh.service.d/xt.conf', content: SSH_SERVICE },
    { path: 'etc/ssh/sshd_config.d/xt.conf', content: `HostKey ${HOST_KEY}\n` },
    // xt unpacks gzip itself, faster than a guest can.
    { path: 'etc/initramfs-tools/conf.d/xt', content: 'MODULES=list\nCOMPRESS=gzip\n' },
    { path: 'usr/share/initramfs-tools/modules.d/xt', content: `${INITRAMFS_MODULES.join('\n')}\n` },
    { path: 'boot/grub/grub.cfg', content: GRUB },
    ...(keys === '' ? [] : [{ path: 'root/.ssh/authorized_keys', content: keys, mode: 0o600 }]),
  ]
}

export const overlayLinks = (): readonly OverlayLink[] =>
  MASKED_UNITS.map((unit) => ({ path: `etc/systemd/system/${unit}`, target: '/dev/null' }))

/** Modes of directories that are not 0755. */
export const PRIVATE_DIRECTORIES: ReadonlySet<string> = new Set(['root', 'root/.ssh'])
