/**
 * Files out of Debian packages, without installing anything: apt finds and downloads, dpkg-deb and tar unpack.
 * Works as root and as any user, and continues an interrupted download.
 *
 * The system's package lists are used as they are. Where they are missing or too old, lists of our own are made in
 * the cache (from the system's sources), so that neither root nor a change of the system is needed.
 */
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { assetErrors } from './errors.ts'

export type Progress = (line: string) => void

export interface PackageVersion {
  readonly name: string
  readonly version: string
  readonly sizeBytes: number
  readonly depends: string
}

/** apt as this user sees it: with the system's lists, or with lists in the cache. */
export class Apt {
  readonly #cache: string
  readonly #onProgress: Progress
  #options: readonly string[] = ['-o', 'APT::Sandbox::User=root']
  #isUpdated = false

  constructor(cache: string, onProgress: Progress) {
    this.#cache = cache
    this.#onProgress = onProgress
  }

  /**
   * The version apt would install of the first package it knows; `name/release` picks a release.
   * @throws XtError XT_ASSET_NO_APT, XT_ASSET_NO_PACKAGE
   */
  async find(...names: readonly string[]): Promise<PackageVersion> {
    for (;;) {
      for (const name of names) {
        const found = await this.#show(name)
        if (found !== undefined) return found
      }
      if (!(await this.#update())) throw assetErrors.XT_ASSET_NO_PACKAGE(names.join(' or '))
    }
  }

  /**
   * Downloads a package into the cache, if it is not there.
   * @returns the .deb file
   * @throws XtError XT_ASSET_DOWNLOAD_FAILED
   */
  async download(pkg: PackageVersion): Promise<string> {
    const done = join(this.#cache, 'debs', `${pkg.name}_${pkg.version.replaceAll(':', '%3a')}.deb`)
    if (await exists(done)) return done
    // apt continues a partial file of the same name, hence a directory that stays.
    const partial = join(this.#cache, 'debs', 'partial', pkg.name)
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

  /** Finds and downloads; lists that name a version the archive no longer has are made anew. */
  async fetch(...names: readonly string[]): Promise<{ readonly pkg: PackageVersion; readonly deb: string }> {
    const pkg = await this.find(...names)
    try {
      return { pkg, deb: await this.download(pkg) }
    } catch (error) {
      if (!(await this.#update())) throw error
      const again = await this.find(...names)
      return { pkg: again, deb: await this.download(again) }
    }
  }

  async #show(name: string): Promise<PackageVersion | undefined> {
    const { stdout } = await this.#run('apt-cache', ['show', '--no-all-versions', name])
    const field = (key: string) => new RegExp(`^${key}: (.*)$`, 'm').exec(stdout)?.[1] ?? ''
    if (field('Version') === '' || field('Filename') === '') return undefined
    return {
      name: field('Package'),
      version: field('Version'),
      sizeBytes: Number(field('Size')),
      depends: field('Depends'),
    }
  }

  /** Makes package lists in the cache and uses them from now on; false if that was done before. */
  async #update(): Promise<boolean> {
    if (this.#isUpdated) return false
    this.#isUpdated = true
    const [lists, cache] = [join(this.#cache, 'apt', 'lists'), join(this.#cache, 'apt', 'cache')]
    await mkdir(join(lists, 'partial'), { recursive: true })
    await mkdir(join(cache, 'archives', 'partial'), { recursive: true })
    this.#options = [...this.#options, '-o', `Dir::State::lists=${lists}`, '-o', `Dir::Cache=${cache}`]
    this.#onProgress("updating package lists in the cache (the system's lists are missing or too old)")
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
    const result = await execa(program, [...this.#options, ...args], {
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
