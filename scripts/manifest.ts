/**
 * Writes oclif.manifest.json: what oclif must know of all commands to load only the one that is wanted.
 *
 *     node scripts/manifest.ts [--check]
 *
 * Made from src, without a build, but naming the files of dist. With --check nothing is written: exit status 1 if
 * the file is not what it should be.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Plugin } from '@oclif/core/config'
import { loadOptions } from '../src/cli/main.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const file = join(root, 'oclif.manifest.json')

/** The text that oclif.manifest.json should have. */
export async function manifestText(): Promise<string> {
  const { manifest } = await loadAll()
  // Sorted: the order in which oclif finds files is not always the same.
  const found = Object.entries(manifest.commands).sort(([a], [b]) => (a < b ? -1 : 1))
  const commands = found.map(([id, command]) => [
    id,
    {
      ...command,
      relativePath: ['dist', 'commands', ...id.split(':').slice(0, -1), `${id.split(':').at(-1)}.js`],
    },
  ])
  return `${JSON.stringify({ commands: Object.fromEntries(commands), version: manifest.version }, null, 2)}\n`
}

/** oclif's search for files now and then misses a folder on a busy machine: what it found is compared with what is there. */
async function loadAll(): Promise<Plugin> {
  const options = { ...loadOptions({ root, fromSource: true }), isRoot: true, errorOnManifestCreate: true }
  const files = readdirSync(join(root, 'src/commands'), { recursive: true, encoding: 'utf8' })
  const expected = files.filter((name) => name.endsWith('.ts')).length
  for (let tries = 1; ; tries++) {
    const plugin = new Plugin(options)
    await plugin.load()
    const found = Object.keys(plugin.manifest.commands).length
    if (found === expected) return plugin
    if (tries === 5) throw new Error(`oclif found ${found} of ${expected} commands`)
  }
}

if (import.meta.main) {
  const text = await manifestText()
  if (!process.argv.includes('--check')) writeFileSync(file, text)
  else if (readFileSync(file, 'utf8') !== text) {
    process.stderr.write('oclif.manifest.json is not up to date: run `npm run generate`.\n')
    process.exitCode = 1
  }
}
