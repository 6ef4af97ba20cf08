/**
 * Plugins that were installed for this user (`xt plugins install`): npm puts their packages into a folder of xt's own;
 * what each one is stands in a manifest beside them, so that nothing of theirs runs to list them or to know their keys.
 *
 * Packages are installed without their install scripts and without peers: xt and zod are lent to them.
 */
import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { z } from 'zod'
import { loadPlugins, pluginFile } from './discover.ts'
import { errors } from './errors.ts'
import { directoryError, pluginsDir } from './paths.ts'
import type { Plugin } from './plugin.ts'

const jsonSchema = z.record(z.string(), z.json())
const installedPlugin = z.object({
  /** Name of its package. */
  package: z.string(),
  version: z.string(),
  name: z.string(),
  api: z.int(),
  provides: z.array(z.string()),
  requires: z.array(z.string()),
  /** JSON Schema of its settings. */
  config: jsonSchema,
  /** JSON Schemas of its keys of a guest's configuration. */
  stanzas: z.record(z.string(), jsonSchema),
})
export type InstalledPlugin = z.output<typeof installedPlugin>
/** What a plugin says of itself. */
export type PluginFacts = Omit<InstalledPlugin, 'package' | 'version'>

/** The plugins that are installed, by package. Throws XT_PLUGIN_MANIFEST if the manifest cannot be used. */
export function installedPlugins(dir: string = pluginsDir()): readonly InstalledPlugin[] {
  const file = manifestFile(dir)
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    // A path that leads through a file is the trouble of whoever needs that directory.
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
    throw directoryError(file, error)
  }
  try {
    return z.array(installedPlugin).parse(JSON.parse(text))
  } catch (error) {
    throw errors.XT_PLUGIN_MANIFEST(
      file,
      error instanceof SyntaxError ? error.message : 'it has another form',
    )
  }
}

/**
 * Installs a tarball, a folder (a copy of what `npm pack` makes of it) or a package of a registry; in place of another
 * version of the same. Rejects with XT_PLUGIN_INSTALL, or with what is wrong with the plugin; it is not there then.
 */
export async function installPlugin(spec: string, dir: string = pluginsDir()): Promise<InstalledPlugin> {
  mkdirSync(join(dir, 'packages'), { recursive: true, mode: 0o700 })
  const before = dependencies(dir)
  await npm(spec, dir, ['install', '--save-exact', await packageSpec(spec, dir)])
  const after = dependencies(dir)
  const name = Object.keys(after).find((each) => after[each] !== before[each]) ?? packageName(spec, after)
  try {
    if (name === undefined) throw errors.XT_PLUGIN_INSTALL(spec, 'npm did not say which package it is')
    const folder = join(dir, 'node_modules', name)
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }
    pluginFile(folder, dir)
    const [plugin] = await loadPlugins([], [folder], dir)
    const installed = { package: name, version, ...factsOf(plugin!) }
    const others = installedPlugins(dir).filter((each) => each.package !== name)
    const rival = others.find((each) => each.name === installed.name)
    if (rival !== undefined)
      throw errors.XT_PLUGIN_INSTALL(spec, `${rival.package} is a plugin of the same name`)
    writeManifest(dir, [...others, installed])
    return installed
  } catch (error) {
    if (name !== undefined) await forget(name, dir)
    throw error
  }
}

/** Takes a plugin away, by the name of its package or its own. Rejects with XT_PLUGIN_NOT_INSTALLED. */
export async function uninstallPlugin(name: string, dir: string = pluginsDir()): Promise<InstalledPlugin> {
  const found = installedPlugins(dir).find((each) => each.package === name || each.name === name)
  if (found === undefined) throw errors.XT_PLUGIN_NOT_INSTALLED(name, dir)
  await forget(found.package, dir)
  return found
}

/** What `plugins list` says of a plugin, and what is kept of an installed one. */
export function factsOf({
  name,
  api,
  provides = [],
  requires = [],
  config,
  stanzas = {},
}: Plugin): PluginFacts {
  return {
    name,
    api,
    provides: [...provides],
    requires: [...requires],
    config: schemaOf(config),
    stanzas: Object.fromEntries(Object.entries(stanzas).map(([key, schema]) => [key, schemaOf(schema)])),
  }
}

/** As a person writes it, before defaults; what has no JSON form is left open. */
const schemaOf = (schema: z.ZodType) =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as z.output<typeof jsonSchema>

/** A package that npm can install: files are copied to where they stay, as npm looks for them again later. */
async function packageSpec(spec: string, dir: string): Promise<string> {
  const stat = statSync(spec, { throwIfNoEntry: false })
  if (stat === undefined) {
    if (/^\.{0,2}\/|\.tgz$/.test(spec)) throw errors.XT_PLUGIN_INSTALL(spec, 'it does not exist')
    return spec
  }
  const scratch = mkdtempSync(join(tmpdir(), 'xt-pack-'))
  try {
    const tarball = stat.isDirectory() ? await pack(resolve(spec), scratch) : resolve(spec)
    const kept = join(dir, 'packages', basename(tarball))
    copyFileSync(tarball, kept)
    return pathToFileURL(kept).href
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

async function pack(folder: string, to: string): Promise<string> {
  const { stdout } = await npm(folder, to, ['pack', '--json', '--pack-destination', to, folder])
  const [packed] = JSON.parse(stdout) as { readonly filename: string }[]
  return join(to, packed!.filename)
}

async function forget(name: string, dir: string): Promise<void> {
  const from = dependencies(dir)[name]
  await npm(name, dir, ['uninstall', name])
  if (from?.startsWith('file:')) rmSync(resolve(dir, from.slice('file:'.length)), { force: true })
  writeManifest(
    dir,
    installedPlugins(dir).filter((each) => each.package !== name),
  )
}

/** --prefix makes the folder npm's root even where one above has a package.json. */
async function npm(spec: string, dir: string, words: readonly string[]) {
  const quiet = ['--prefix', dir, '--ignore-scripts', '--legacy-peer-deps', '--no-audit', '--no-fund']
  try {
    return await promisify(execFile)('npm', [...words, ...quiet, '--loglevel=error'], { cwd: dir })
  } catch (error) {
    const { code, stderr, message } = error as NodeJS.ErrnoException & { readonly stderr?: string }
    if (code === 'ENOENT') throw errors.XT_PLUGIN_NO_NPM()
    throw errors.XT_PLUGIN_INSTALL(spec, (stderr || message).trim().split('\n').slice(0, 3).join('; '))
  }
}

/** What npm keeps of what was asked for. */
function dependencies(dir: string): Readonly<Record<string, string>> {
  const file = join(dir, 'package.json')
  if (statSync(file, { throwIfNoEntry: false }) === undefined)
    writeFileSync(file, '{ "name": "xt-plugins", "private": true }\n')
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as { dependencies?: Record<string, string> }
  return manifest.dependencies ?? {}
}

/** Of a package that was installed before, so that nothing changed: by its name, or by its tarball. */
function packageName(spec: string, installed: Readonly<Record<string, string>>): string | undefined {
  const bare = spec.replace(/(?<=.)@[^/]*$/, '')
  return Object.keys(installed).find(
    (name) => name === bare || installed[name]?.endsWith(`/${basename(spec)}`),
  )
}

const manifestFile = (dir: string): string => join(dir, 'manifest.json')

function writeManifest(dir: string, plugins: readonly InstalledPlugin[]): void {
  const sorted = plugins.toSorted((a, b) => (a.package < b.package ? -1 : 1))
  writeFileSync(manifestFile(dir), `${JSON.stringify(sorted, null, 2)}\n`)
}
