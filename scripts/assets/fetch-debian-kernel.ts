/**
 * Debian's own kernel and busybox, from Debian's packages into the cache.
 *
 *   node scripts/assets/fetch-debian-kernel.ts [cloud|generic|cloud-6.12|generic-6.12 ...]
 *
 * prints the paths of the kernels and of busybox. XT_ASSET_VMLINUZ and XT_ASSET_BUSYBOX name files to use instead.
 */
import { access, constants, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { XtError } from '../../src/base/errors.ts'
import { assetCache, withCacheLock } from './cache.ts'
import { Apt, exists, type Progress, unpackDeb } from './debian-package.ts'
import { assetErrors } from './errors.ts'

/** Packages that stand for the current kernel of each kind; the first that apt knows is taken. */
const META_PACKAGES = {
  cloud: ['linux-image-cloud-amd64'],
  generic: ['linux-image-amd64'],
  'cloud-6.12': ['linux-image-6.12-cloud-amd64', 'linux-image-cloud-amd64/bookworm-backports'],
  'generic-6.12': ['linux-image-6.12-amd64', 'linux-image-amd64/bookworm-backports'],
} as const

export type KernelFlavour = keyof typeof META_PACKAGES
export const KERNEL_FLAVOURS = Object.keys(META_PACKAGES) as KernelFlavour[]

export interface AssetOptions {
  /** Directory to keep files in; by default `assetCache()`. */
  readonly cache?: string
  /** One line at a time, without a line end. */
  readonly onProgress?: Progress
}

/**
 * The kernel file and its release (`uname -r`).
 * @throws XtError of assetErrors
 */
export async function debianKernel(
  options: AssetOptions & { readonly flavour?: KernelFlavour } = {},
): Promise<{ readonly vmlinuz: string; readonly release: string }> {
  const given = await givenFile('XT_ASSET_VMLINUZ')
  if (given !== undefined) return { vmlinuz: given, release: basename(given).replace(/^vmlinuz-/, '') }
  return inCache(options, async (cache, apt) => {
    const { name, release, version } = await kernelImage(apt, options.flavour)
    const directory = join(cache, 'kernels', `${release}_${version}`)
    const vmlinuz = join(directory, 'boot', `vmlinuz-${release}`)
    if (!(await exists(vmlinuz))) {
      await unpackDeb(await apt.download(await apt.find(name)), directory, ['./boot/vmlinuz-*'])
    }
    return { vmlinuz, release }
  })
}

/**
 * Modules of the same kernel by name (`xen-blkfront`), for an initramfs: files to be given to insmod as they are.
 * What a module depends on is not added: name that first.
 * @throws XtError of assetErrors
 */
export async function debianModules(
  names: readonly string[],
  options: AssetOptions & { readonly flavour?: KernelFlavour } = {},
): Promise<readonly string[]> {
  return inCache(options, async (cache, apt) => {
    const image = await kernelImage(apt, options.flavour)
    const directory = join(cache, 'modules', `${image.release}_${image.version}`, names.join('+'))
    if (!(await exists(directory))) {
      const members = names.map((name) => `*/${name}.ko*`)
      await unpackDeb(await apt.download(await apt.find(image.name)), directory, members)
    }
    const files = await readdir(directory, { recursive: true })
    return names.map((name) => {
      const file = files.find((path) => basename(path).startsWith(`${name}.ko`))
      if (file === undefined) throw assetErrors.XT_ASSET_UNPACK_FAILED(image.name, `it has no module ${name}`)
      return join(directory, file)
    })
  })
}

/**
 * A static busybox for x86-64.
 * @throws XtError of assetErrors
 */
export async function debianBusybox(options: AssetOptions = {}): Promise<string> {
  const given = await givenFile('XT_ASSET_BUSYBOX')
  if (given !== undefined) return given
  return inCache(options, async (cache, apt) => {
    const busybox = await apt.find('busybox-static')
    const directory = join(cache, 'busybox', busybox.version.replaceAll(':', '%3a'))
    if (!(await exists(directory))) {
      await unpackDeb(await apt.download(busybox), directory, ['*/busybox'])
    }
    // Debian 12 has it in /bin, later releases in /usr/bin.
    const files = await readdir(directory, { recursive: true })
    return join(directory, files.find((file) => file.endsWith('bin/busybox')) ?? 'bin/busybox')
  })
}

/** The package of the current kernel of a kind, its release, and the version of the package that stands for it. */
async function kernelImage(apt: Apt, flavour: KernelFlavour = 'cloud') {
  const names = META_PACKAGES[flavour]
  const meta = await apt.find(...names)
  const name = /linux-image-[^\s,]+/.exec(meta.depends)?.[0]
  if (name === undefined) throw assetErrors.XT_ASSET_NO_PACKAGE(names.join(' or '))
  return { name, release: name.slice('linux-image-'.length), version: meta.version }
}

function inCache<T>(options: AssetOptions, work: (cache: string, apt: Apt) => Promise<T>): Promise<T> {
  const cache = options.cache ?? assetCache()
  const onProgress = options.onProgress ?? (() => {})
  const onWait = () => onProgress('waiting for another program that uses the cache')
  return withCacheLock(cache, onWait, () => {
    const apt = new Apt(cache, onProgress)
    return apt.attempt(() => work(cache, apt))
  })
}

async function givenFile(variable: string): Promise<string | undefined> {
  const file = process.env[variable]
  if (file === undefined || file === '') return undefined
  try {
    await access(file, constants.R_OK)
    return file
  } catch (error) {
    throw assetErrors.XT_ASSET_NOT_READABLE(variable, file, (error as Error).message)
  }
}

if (import.meta.main) {
  const words = process.argv.slice(2)
  const isFlavour = (word: string): word is KernelFlavour =>
    (KERNEL_FLAVOURS as readonly string[]).includes(word)
  const unknown = words.find((word) => !isFlavour(word))
  if (unknown !== undefined) {
    console.error(`unknown kernel ${unknown}; there are ${KERNEL_FLAVOURS.join(', ')}`)
    process.exit(2)
  }
  const flavours = words.length === 0 ? (['cloud'] as const) : words.filter(isFlavour)
  try {
    const options = { onProgress: (line: string) => console.error(line) }
    for (const flavour of flavours) console.log((await debianKernel({ ...options, flavour })).vmlinuz)
    console.log(await debianBusybox(options))
  } catch (error) {
    if (!(error instanceof XtError)) throw error
    console.error(error.hint === undefined ? error.message : `${error.message}\n${error.hint}`)
    process.exit(error.exit)
  }
}
