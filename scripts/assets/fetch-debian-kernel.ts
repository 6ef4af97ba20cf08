/**
 * Debian's own kernel and busybox, from Debian's packages into the cache.
 *
 *   node scripts/assets/fetch-debian-kernel.ts [cloud|generic|cloud-6.12|generic-6.12]
 *
 * prints the paths of both. XT_ASSET_VMLINUZ and XT_ASSET_BUSYBOX name files to use instead.
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
    const names = META_PACKAGES[options.flavour ?? 'cloud']
    const meta = await apt.find(...names)
    const image = /linux-image-[^\s,]+/.exec(meta.depends)?.[0]
    if (image === undefined) throw assetErrors.XT_ASSET_NO_PACKAGE(names.join(' or '))
    const release = image.slice('linux-image-'.length)
    const directory = join(cache, 'kernels', `${release}_${meta.version}`)
    const vmlinuz = join(directory, 'boot', `vmlinuz-${release}`)
    if (!(await exists(vmlinuz))) {
      await unpackDeb(await apt.download(await apt.find(image)), directory, ['./boot/vmlinuz-*'])
    }
    return { vmlinuz, release }
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
  const flavour = (process.argv[2] ?? 'cloud') as KernelFlavour
  if (!KERNEL_FLAVOURS.includes(flavour)) {
    console.error(`unknown kernel ${flavour}; there are ${KERNEL_FLAVOURS.join(', ')}`)
    process.exit(2)
  }
  try {
    const options = { onProgress: (line: string) => console.error(line) }
    console.log((await debianKernel({ ...options, flavour })).vmlinuz)
    console.log(await debianBusybox(options))
  } catch (error) {
    if (!(error instanceof XtError)) throw error
    console.error(error.hint === undefined ? error.message : `${error.message}\n${error.hint}`)
    process.exit(error.exit)
  }
}
