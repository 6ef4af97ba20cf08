/**
 * Finds and loads the plugins of a domain: the builtin ones, then those that the configuration names.
 *
 * A name that starts with `./`, `../` or `/` is a path, taken from the directory of the command; anything else is
 * a package, looked for as Node does, then among the installed ones (installed-plugins.ts). A package says where its plugin is: `"xt": {"plugin": "./dist/index.js"}`.
 * Nothing is searched for by itself: node_modules is not scanned. `xt/plugin`, `xt/xen` and zod are lent to plugins, so
 * that a single file is a plugin.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { dirname, extname, isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { errors } from './errors.ts'
import { pluginsDir } from './paths.ts'
import { PLUGIN_API, type Plugin } from './plugin.ts'

/** A plugin of ours that is loaded only when a domain needs it. */
export interface BuiltinPlugin {
  readonly name: string
  load(): Promise<{ readonly default: unknown }>
}

/** Loads plugins by name or path. Rejects with XT_PLUGIN_NOT_FOUND, XT_PLUGIN_INVALID or XT_PLUGIN_API. */
export async function loadPlugins(
  builtin: readonly BuiltinPlugin[],
  named: readonly string[],
  from: string,
): Promise<readonly Plugin[]> {
  if (named.length > 0) lendModules()
  const ours = builtin.map(async ({ name, load }) => checkPlugin((await load()).default, name))
  const theirs = named.map((name) => loadNamed(name, from))
  return Promise.all([...ours, ...theirs])
}

let lent = false

/** What plugins import of xt: always this one's, wherever they are. */
const LENT: Readonly<Record<string, string>> = { 'xt/plugin': './plugin', 'xt/xen': '../xen/index' }

/** Lets plugins import what is lent, and zod (this xt's if they have none). */
function lendModules(): void {
  if (lent) return
  lent = true
  registerHooks({
    resolve(specifier, context, next) {
      const lent = LENT[specifier]
      if (lent !== undefined)
        return next(new URL(`${lent}${extname(import.meta.url)}`, import.meta.url).href, context)
      try {
        return next(specifier, context)
      } catch (error) {
        if (specifier !== 'zod') throw error
        return next(specifier, { ...context, parentURL: import.meta.url })
      }
    },
  })
}

async function loadNamed(name: string, from: string): Promise<Plugin> {
  const file = pluginFile(name, from)
  let module: { readonly default?: unknown }
  try {
    module = (await import(pathToFileURL(file).href)) as { readonly default?: unknown }
  } catch (error) {
    throw errors.XT_PLUGIN_INVALID(name, `${file} cannot be loaded: ${textOf(error)}`)
  }
  return checkPlugin(module.default, name)
}

/** The file that a name stands for, without loading it. Throws XT_PLUGIN_NOT_FOUND or XT_PLUGIN_INVALID. */
export const pluginFile = (name: string, from: string): string =>
  isPath(name) ? entryOfPath(name, resolve(from, name)) : entryOfPackage(name, from)

const isPath = (name: string): boolean => /^\.{0,2}\//.test(name) || isAbsolute(name)

function entryOfPath(name: string, path: string): string {
  if (!existsSync(path)) throw errors.XT_PLUGIN_NOT_FOUND(name, `${path} does not exist`)
  return statSync(path).isDirectory() ? entryOfFolder(name, path) : path
}

function entryOfPackage(name: string, from: string): string {
  // The user's own packages first, then the installed ones, then those beside xt.
  for (const start of [resolve(from), pluginsDir(), dirname(fileURLToPath(import.meta.url))]) {
    for (let dir = start; ; dir = dirname(dir)) {
      const folder = join(dir, 'node_modules', name)
      if (existsSync(join(folder, 'package.json'))) return entryOfFolder(name, folder)
      if (dir === dirname(dir)) break
    }
  }
  throw errors.XT_PLUGIN_NOT_FOUND(
    name,
    `there is no package of this name at or above ${resolve(from)}, and none is installed`,
  )
}

function entryOfFolder(name: string, folder: string): string {
  let manifest: { readonly xt?: { readonly plugin?: unknown } }
  try {
    manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  } catch (error) {
    throw errors.XT_PLUGIN_INVALID(name, `its package.json cannot be read: ${textOf(error)}`)
  }
  const entry = manifest.xt?.plugin
  if (typeof entry !== 'string') {
    throw errors.XT_PLUGIN_INVALID(name, 'its package.json does not say {"xt": {"plugin": FILE}}')
  }
  const file = resolve(folder, entry)
  if (!existsSync(file)) throw errors.XT_PLUGIN_NOT_FOUND(name, `${file} does not exist`)
  return file
}

/** Judges what a module exports by default. */
function checkPlugin(value: unknown, name: string): Plugin {
  if (typeof value !== 'object' || value === null) {
    throw errors.XT_PLUGIN_INVALID(name, 'the module has no plugin as its default export')
  }
  const plugin = value as Partial<Record<keyof Plugin, unknown>>
  if (typeof plugin.name !== 'string' || plugin.name === '') {
    throw errors.XT_PLUGIN_INVALID(name, 'it has no name')
  }
  // Before the rest: another version may have another shape.
  if (plugin.api !== PLUGIN_API) throw errors.XT_PLUGIN_API(plugin.name, plugin.api, PLUGIN_API)
  const parse = (plugin.config as { readonly safeParse?: unknown } | undefined)?.safeParse
  if (typeof parse !== 'function') throw errors.XT_PLUGIN_INVALID(plugin.name, 'its config is no zod schema')
  if (typeof plugin.setup !== 'function') throw errors.XT_PLUGIN_INVALID(plugin.name, 'it has no setup')
  if (plugin.stanzas !== undefined && (typeof plugin.stanzas !== 'object' || plugin.stanzas === null))
    throw errors.XT_PLUGIN_INVALID(plugin.name, 'its stanzas are no object of zod schemas')
  for (const key of ['provides', 'requires'] as const) {
    const names = plugin[key] ?? []
    if (!Array.isArray(names) || !names.every((item) => typeof item === 'string')) {
      throw errors.XT_PLUGIN_INVALID(plugin.name, `its ${key} is no list of names`)
    }
  }
  return value as Plugin
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
