/**
 * Files out of Debian packages, without installing anything: apt finds and downloads, dpkg-deb and tar unpack.
 * Works as root and as any user. What was fetched or unpacked completely is not done again.
 *
 * The system's package lists are used as they are. Where they are missing or too old, lists of our own are made in
 * the cache (from the system's sources), so that neither root nor a change of the system is needed.
 */
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { XtError } from '../../src/base/errors.ts'
import { assetErrors } from './errors.ts'

export type Progress = (line: string) => void

export interface PackageVersion {
  readonly name: string
  readonly version: string
  readonly sizeBytes: number
  readonly depends: string
}

/** No change of user: another one could not write into the cache. */
const ALWAYS = ['-o', 'APT::Sandbox::User=root', '-o', 'Acquire::Retries=3']
const SYSTEM_LISTS: readonly string[] = []

/** apt as this user sees it: with the system's lists, or with lists in the cache. */
export class Apt {
  readonly #cache: string
  readonly #onProgress: Progress
  #lists = SYSTEM_LISTS

  constructor(cache: string, onProgress: Progress) {
    this.#cache = cache
    this.#onProgress = onProgress
  }

  /**
   * Does `work` (finding, downloading) with the system's package lists; if that fails, with the cache's lists of an
   * earlier time; if that fails, with new ones. Without apt no lists help.
   */
  async attempt<T>(work: () => Promise<T>): Promise<T> {
    let failure: unknown
    for (const prepare of [() => true, () => this.#useOwnLists(), () => this.#updateOwnLists()]) {
      if (!(await prepare())) continue
      try {
        return await work()
      } catch (error) {
        if (error instanceof XtError && error.code === 'XT_ASSET_NO_APT') throw error
        // Without network the new lists are empty: that a package is not in them says less than an earlier failure.
        const isEmptyHanded = error instanceof XtError && error.code === 'XT_ASSET_NO_PACKAGE'
        if (failure === undefined || !isEmptyHanded) failure = error
      }
    }
    throw failure
  }

  /**
   * The version apt would install of the first package it knows; `name/release` picks a release.
   * @throws XtError XT_ASSET_NO_APT, XT_ASSET_NO_PACKAGE
   */
  async find(...names: readonly string[]): Promise<PackageVersion> {
    for (const name of names) {
      const { stdout } = await this.#run('apt-cache', ['show', '--no-all-versions', name])
      const field = (key: string) => new RegExp(`^${key}: (.*)$`, 'm').exec(stdout)?.[1] ?? ''
      // An installed package is also shown when no list has it.
      if (field('Filename') === '') continue
      const sizeBytes = Number(field('Size'))
      return { name: field('Package'), version: field('Version'), sizeBytes, depends: field('Depends') }
    }
    throw assetErrors.XT_ASSET_NO_PACKAGE(names.join(' or '))
  }

  /**
   * Downloads a package into the cache, if it is not there.
   * @returns the .deb file
   * @throws XtError XT_ASSET_DOWNLOAD_FAILED
   */
  async download(pkg: PackageVersion): Promise<string> {
    const done = join(this.#cache, 'debs', `${pkg.name}_${pkg.version.replaceAll(':', '%3a')}.deb`)
    if (await exists(done)) return done
    const partial = join(this.#cache, 'debs', 'partial')
    await rm(partial, { recursive: true, force: true })
    await mkdir(partial, { recursive: true })
    this.#onProgress(`fetching ${pkg.name} ${pkg.version} (${(pkg.sizeBytes / 1e6).toFixed(1)} MB)`)
    const timer = setInterval(() => void this.#report(pkg, partial), 2000)
    try {
      const get = await this.#run('apt-get', ['-q', 'download', `${pkg.name}=${pkg.version}`], partial)
      const deb = (await readdir(partial)).find((file) => file.endsWith('.deb'))
      if (get.failed || deb === undefined)
        throw assetErrors.XT_ASSET_DOWNLOAD_FAILED(pkg.name, lastError(get.stderr))
      await rename(join(partial, deb), done)
    } finally {
      clearInterval(timer)
    }
    await rm(partial, { recursive: true, force: true })
    return done
  }

  get #ownLists(): string {
    return join(this.#cache, 'apt', 'lists')
  }

  /** False if there are none. */
  async #useOwnLists(): Promise<boolean> {
    if (!(await exists(this.#ownLists))) return false
    const archives = join(this.#cache, 'apt', 'cache')
    this.#lists = ['-o', `Dir::State::lists=${this.#ownLists}`, '-o', `Dir::Cache=${archives}`]
    return true
  }

  async #updateOwnLists(): Promise<boolean> {
    await mkdir(join(this.#ownLists, 'partial'), { recursive: true })
    await mkdir(join(this.#cache, 'apt', 'cache', 'archives', 'partial'), { recursive: true })
    await this.#useOwnLists()
    this.#onProgress("updating apt's package lists, in the cache")
    // Some source may fail (a mirror in the middle of its sync): what counts is whether the package is found after it.
    const update = await this.#run('apt-get', ['-q', 'update'])
    if (update.failed) this.#onProgress(`apt-get update did not fully succeed: ${lastError(update.stderr)}`)
    return true
  }

  async #report(pkg: PackageVersion, directory: string): Promise<void> {
    const files = await readdir(directory).catch(() => [])
    const sizes = await Promise.all(
      files.map((file) =>
        stat(join(directory, file)).then(
          (s) => s.size,
          () => 0,
        ),
      ),
    )
    const percent = Math.floor((100 * sizes.reduce((a, b) => a + b, 0)) / pkg.sizeBytes)
    if (percent > 0 && percent < 100) this.#onProgress(`fetching ${pkg.name}: ${percent} %`)
  }

  async #run(program: 'apt-get' | 'apt-cache', args: readonly string[], cwd = this.#cache) {
    const result = await execa(program, [...ALWAYS, ...this.#lists, ...args], {
      cwd,
      reject: false,
      stdin: 'ignore',
      env: { LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' },
    })
    if (result.code === 'ENOENT') throw assetErrors.XT_ASSET_NO_APT("Debian's packages", program)
    return result
  }
}

/**
 * Takes some members of a package's file tree (globs like `./boot/vmlinuz-*`) into `directory`, which appears whole
 * or not at all.
 * @throws XtError XT_ASSET_UNPACK_FAILED, XT_ASSET_NO_APT
 */
export async function unpackDeb(deb: string, directory: string, members: readonly string[]): Promise<void> {
  const unfinished = `${directory}.unfinished`
  await rm(unfinished, { recursive: true, force: true })
  await mkdir(unfinished, { recursive: true })
  const untar = await execa({ reject: false })('dpkg-deb', ['--fsys-tarfile', deb], { buffer: false }).pipe(
    'tar',
    ['-x', '-C', unfinished, '--no-same-owner', '--wildcards', ...members],
  )
  if (untar.code === 'ENOENT') throw assetErrors.XT_ASSET_NO_APT("Debian's packages", 'dpkg-deb or tar')
  if (untar.failed) throw assetErrors.XT_ASSET_UNPACK_FAILED(deb, lastError(untar.stderr ?? ''))
  await rm(directory, { recursive: true, force: true })
  await rename(unfinished, directory)
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/** The line that says why: apt's last `E:` line, or the last line. */
function lastError(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '')
  const line = lines.findLast((text) => text.startsWith('E:')) ?? lines.at(-1) ?? 'no reason given'
  return line.replace(/^E: /, '')
}
