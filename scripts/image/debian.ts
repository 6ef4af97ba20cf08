/**
 * A disk image with a Debian system that boots as a PV guest: mmdebstrap makes the system, mke2fs the file system with all of
 * it inside. No loop device, nothing is mounted by us; root is not needed where user namespaces are (package uidmap).
 */
import { chmod, mkdir, mkdtemp, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { assetCache } from '../assets/cache.ts'
import { imageErrors } from './errors.ts'
import { overlayFiles, overlayLinks, PRIVATE_DIRECTORIES } from './overlay.ts'
import { mustHave, type Progress, run } from './run.ts'

export interface DebianImageOptions {
  /** The image; it appears whole or not at all. */
  readonly out: string
  /** As mke2fs has it: 4G, 800M. */
  readonly size: string
  readonly suite: string
  readonly mirror: string
  readonly kernel: 'cloud' | 'generic'
  /** Without network and ssh: boots and lets one log in. */
  readonly minimal: boolean
  readonly hostname: string
  /** Public keys for root. */
  readonly sshKeys: readonly string[]
  /** Of root; none: root logs in on the console without one. */
  readonly password: string | undefined
  readonly packages: readonly string[]
  readonly onProgress: Progress
  readonly signal: AbortSignal
}

const WHAT = 'making a Debian image'
const KERNELS = { cloud: 'linux-image-cloud-amd64', generic: 'linux-image-amd64' } as const
const SYSTEM = ['systemd-sysv', 'udev', 'dbus', 'kmod', 'initramfs-tools', 'iproute2']
const COMFORT = [
  'openssh-server',
  'systemd-resolved',
  'libpam-systemd',
  'ca-certificates',
  'iputils-ping',
  'less',
]

/** @throws XtError of imageErrors */
export async function makeDebianImage(options: DebianImageOptions): Promise<void> {
  const { onProgress } = options
  mustHave('mmdebstrap', WHAT, 'mmdebstrap')
  mustHave('mke2fs', WHAT, 'e2fsprogs')
  if (!isRoot)
    for (const program of ['newuidmap', 'unshare'])
      mustHave(program, `${WHAT} without root`, 'uidmap util-linux')
  const work = await mkdtemp(join(tmpdir(), 'xt-image-'))
  try {
    await writeOverlay(work, options.hostname, options.sshKeys)
    const debs = join(assetCache(), 'image-debs')
    await mkdir(debs, { recursive: true })
    onProgress(`the system: Debian ${options.suite}, packages are kept in ${debs}`)
    await makeSystem(options, work, debs)
    onProgress('the file system')
    await makeFileSystem(options, work)
  } finally {
    await removeTree(work)
  }
}

const isRoot = process.geteuid?.() === 0

/** The keys in some files. @throws XtError XT_IMAGE_INPUT */
export const readKeys = async (paths: readonly string[]): Promise<readonly string[]> =>
  (await Promise.all(paths.map(readKey))).flat()

async function readKey(path: string): Promise<readonly string[]> {
  const text = await readFile(path, 'utf8').catch((error: Error) => {
    throw imageErrors.XT_IMAGE_INPUT(`--ssh-key ${path}`, error.message)
  })
  if (text.includes('PRIVATE KEY'))
    throw imageErrors.XT_IMAGE_INPUT(`--ssh-key ${path}`, 'this is a private key; name the .pub file')
  const keys = text.split('\n').filter((line) => /^(ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/=]+/.test(line))
  if (keys.length === 0) throw imageErrors.XT_IMAGE_INPUT(`--ssh-key ${path}`, 'it holds no public key')
  return keys
}

/** A tar of the overlay, owned by root whoever we are. */
async function writeOverlay(work: string, hostname: string, sshKeys: readonly string[]): Promise<void> {
  const folder = join(work, 'overlay')
  const made = new Set<string>()
  const directory = async (path: string): Promise<void> => {
    if (path === '.' || made.has(path)) return
    await directory(dirname(path))
    made.add(path)
    await mkdir(join(folder, path), { recursive: true })
    await chmod(join(folder, path), PRIVATE_DIRECTORIES.has(path) ? 0o700 : 0o755)
  }
  for (const { path, content, mode = 0o644 } of overlayFiles({ hostname, sshKeys })) {
    await directory(dirname(path))
    await writeFile(join(folder, path), content)
    await chmod(join(folder, path), mode)
  }
  for (const { path, target } of overlayLinks()) {
    await directory(dirname(path))
    await symlink(target, join(folder, path))
  }
  const tops = [...new Set([...made].map((path) => path.split('/')[0]!))]
  const words = ['--owner=root:0', '--group=root:0', '-C', folder, '-cf', join(work, 'overlay.tar'), ...tops]
  await run('tar', words, { step: 'packing the files of our own' })
}

async function makeSystem(options: DebianImageOptions, work: string, debs: string): Promise<void> {
  const { suite, mirror, kernel, minimal, packages, password, onProgress, signal } = options
  const include = [KERNELS[kernel], ...SYSTEM, ...(minimal ? [] : COMFORT), ...packages]
  const archives = '/var/cache/apt/archives'
  const overlay = `tar-in ${join(work, 'overlay.tar')} /`
  const words = [
    '--variant=minbase',
    '--format=tar',
    `--include=${include.join(',')}`,
    '--aptopt=Acquire::Languages "none"',
    '--aptopt=APT::Keep-Downloaded-Packages "true"',
    '--skip=essential/unlink',
    // A system that breaks off half-way is thrown away: nothing in it has to be on the disk.
    '--dpkgopt=force-unsafe-io',
    `--setup-hook=mkdir -p "$1"${archives}`,
    `--setup-hook=sync-in ${debs} ${archives}`,
    // Before the kernel's package makes its initramfs, and again over what packages left.
    `--essential-hook=${overlay}`,
    `--customize-hook=sync-out ${archives} ${debs}`,
    ...(minimal
      ? []
      : [
          '--customize-hook=chroot "$1" systemctl enable systemd-networkd',
          '--customize-hook=chroot "$1" systemctl disable systemd-networkd-wait-online',
          '--customize-hook=rm -f "$1"/etc/ssh/ssh_host_*_key "$1"/etc/ssh/ssh_host_*_key.pub',
        ]),
    password === undefined
      ? '--customize-hook=chroot "$1" passwd --quiet --delete root'
      : `--customize-hook=printf 'root:%s\\n' "$XT_IMAGE_PASSWORD" | chroot "$1" chpasswd`,
    '--customize-hook=rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap',
    `--customize-hook=${overlay}`,
    suite,
    join(work, 'root.tar'),
    ...sources(suite, mirror),
  ]
  await run('mmdebstrap', words, {
    step: 'mmdebstrap',
    onLine: (line) => onProgress(line.replace(/^I: /, '')),
    env: password === undefined ? {} : { XT_IMAGE_PASSWORD: password },
    signal,
  })
}

/** The archive with its updates; of other mirrors only what they have for certain. */
function sources(suite: string, mirror: string): readonly string[] {
  const main = `deb ${mirror} ${suite} main`
  if (suite === 'sid' || suite === 'unstable') return [main]
  const security = 'http://deb.debian.org/debian-security'
  return [main, `deb ${mirror} ${suite}-updates main`, `deb ${security} ${suite}-security main`]
}

/**
 * The tree is unpacked with its owners and copied by mke2fs. Without root that happens in a user namespace, whose root we
 * are: then the owners in the image are right. There no devices can be made, and none are needed: the kernel fills /dev.
 */
async function makeFileSystem({ out, size, signal }: DebianImageOptions, work: string): Promise<void> {
  const image = join(dirname(resolve(out)), `.${process.pid}.image.unfinished`)
  const script = `set -e
mkdir "$1/root"
tar -C "$1/root" --numeric-owner --exclude='./dev/*' -xpf "$1/root.tar"
rm "$1/root.tar"
mke2fs -q -F -t ext4 -L root -E lazy_itable_init=0,lazy_journal_init=0 -d "$1/root" "$2" "$3"
fallocate --dig-holes "$2"
rm -rf "$1/root"`
  const shell = ['sh', '-c', script, 'sh', work, image, size]
  const [program, ...words] = isRoot ? shell : [...IN_NAMESPACE, ...shell]
  try {
    await run(program!, words, { step: 'mke2fs', signal })
    await rename(image, out)
  } finally {
    await rm(image, { force: true })
  }
}

const IN_NAMESPACE = ['unshare', '--user', '--map-root-user', '--map-auto']

/** What a namespace's other users own, only its root can remove. */
async function removeTree(work: string): Promise<void> {
  await rm(work, { recursive: true, force: true }).catch(() =>
    run(IN_NAMESPACE[0]!, [...IN_NAMESPACE.slice(1), 'rm', '-rf', work], { step: 'removing what is left' }),
  )
}

/** @throws XtError XT_IMAGE_EXISTS */
export async function mustBeFree(out: string, force: boolean): Promise<void> {
  if (force) return
  const isThere = await stat(out).then(
    () => true,
    () => false,
  )
  if (isThere) throw imageErrors.XT_IMAGE_EXISTS(out)
}
