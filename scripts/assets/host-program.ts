/**
 * Programs of this machine as files for a guest: a dynamically linked program of a Debian package (fio, stress-ng)
 * with the libraries that it loads, at the same paths, so that it runs there as it does here.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import type { CpioEntry } from './cpio.ts'

/** Where a program is that the shell would find, or undefined. System administrators' directories are looked into, too. */
export function findProgram(name: string): string | undefined {
  const directories = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    '/usr/bin',
    '/usr/sbin',
    '/bin',
    '/sbin',
  ]
  return directories.map((directory) => join(directory, name)).find((path) => existsSync(path))
}

/**
 * Paths of the shared libraries of a program, its interpreter among them; none for a static one.
 * Throws where there is no ldd, or a library is missing.
 */
export function librariesOf(program: string): readonly string[] {
  const { status, stdout, stderr } = spawnSync('ldd', [program], { encoding: 'utf8' })
  if (/not a dynamic executable|statically linked/.test(stdout + stderr)) return []
  if (status !== 0 || /=> not found/.test(stdout)) throw new Error(`ldd ${program}: ${stdout}${stderr}`)
  // "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)" and "/lib64/ld-linux-x86-64.so.2 (0x...)".
  return [...stdout.matchAll(/(?:^|\s)(\/\S+) \(0x/gm)].map(([, path]) => path!)
}

/**
 * Entries of an initramfs: each program under bin/, its libraries where the loader looks for them, and all directories
 * above them that `present` does not name.
 */
export function programEntries(
  programs: readonly string[],
  present: readonly string[] = ['bin', 'usr', 'usr/bin', 'sbin'],
): readonly CpioEntry[] {
  const libraries = [...new Set(programs.flatMap(librariesOf))]
  const files = [
    ...programs.map((path) => ({ path: `bin/${path.slice(path.lastIndexOf('/') + 1)}`, from: path })),
    ...libraries.map((path) => ({ path: path.slice(1), from: path })),
  ]
  const directories = [...new Set(files.flatMap(({ path }) => parents(path)))]
  return [
    ...directories
      .filter((path) => !present.includes(path))
      .map((path): CpioEntry => ({ path, kind: 'directory' })),
    ...files.map(
      ({ path, from }): CpioEntry => ({ path, kind: 'file', data: readFileSync(from), mode: 0o755 }),
    ),
  ]
}

/** 'lib/a/b.so' → 'lib', 'lib/a'. */
function parents(path: string): readonly string[] {
  const directory = dirname(path)
  return directory === '.' ? [] : [...parents(directory), directory]
}
