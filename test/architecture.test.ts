/**
 * The layers of src are a rule: layers.json says who may import whom, and no file takes part in an import cycle.
 *
 * Imports are read with the TypeScript parser. Imports of types alone count for the layers (they couple the
 * designs) but not for cycles (they are gone at run time).
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { layers } = JSON.parse(readFileSync(join(root, 'test/layers.json'), 'utf8')) as {
  layers: Record<string, { may: string[]; node: string[] }>
}

interface Import {
  readonly file: string
  readonly line: number
  readonly target: string
  readonly typeOnly: boolean
}

const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
  .map((name) => join('src', name))
  .sort()

function importsOf(file: string): Import[] {
  const source = ts.createSourceFile(
    file,
    readFileSync(join(root, file), 'utf8'),
    ts.ScriptTarget.Latest,
    true,
  )
  const found: Import[] = []
  const add = (node: ts.Expression, typeOnly: boolean) => {
    if (!ts.isStringLiteral(node)) return
    const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1
    const target = node.text.startsWith('.')
      ? relative(root, join(root, dirname(file), node.text))
      : node.text
    found.push({ file, line, target, typeOnly })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, node.importClause?.isTypeOnly ?? false)
    if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined)
      add(node.moduleSpecifier, node.isTypeOnly)
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      add(node.arguments[0]!, true)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** The layer of a file: its own entry, the longest folder, or `src/plugins/*` for one plugin's folder. */
function layerOf(file: string): string | undefined {
  if (file in layers) return file
  const plugin = /^src\/plugins\/[^/]+\//.exec(file)
  if (plugin !== null) return 'src/plugins/*'
  return Object.keys(layers)
    .filter((layer) => file.startsWith(`${layer}/`))
    .sort((a, b) => b.length - a.length)[0]
}
const pluginOf = (file: string): string | undefined => /^src\/plugins\/([^/]+)\//.exec(file)?.[1]

const imports = files.flatMap(importsOf)

t.test('every file of src belongs to a layer', async (t) => {
  t.same(
    files.filter((file) => layerOf(file) === undefined),
    [],
  )
})

t.test('nobody imports a layer that layers.json does not allow', async (t) => {
  const wrong = imports
    .filter(({ target }) => target.startsWith('src/'))
    .filter(({ file, target }) => {
      const [from, to] = [layerOf(file)!, layerOf(target)!]
      if (from === to) return from === 'src/plugins/*' && pluginOf(file) !== pluginOf(target)
      return !layers[from]!.may.some(
        (allowed) => to === allowed || (!(to in layers) && to.startsWith(allowed)),
      )
    })
    .map(
      ({ file, line, target }) =>
        `${file}:${line} imports ${target}; ${layerOf(file)} may import ${layers[layerOf(file)!]!.may.join(', ')}`,
    )
  t.same(wrong, [])
})

t.test('node: modules are used by host-side files only', async (t) => {
  const wrong = imports
    .filter(({ target }) => target.startsWith('node:'))
    .filter(({ file }) => {
      const { node } = layers[layerOf(file)!]!
      return !node.includes('*') && !node.includes(file)
    })
    .map(({ file, line, target }) => `${file}:${line} imports ${target}`)
  t.same(wrong, [])
})

t.test('there is no cycle of imports', async (t) => {
  const graph = new Map<string, string[]>()
  for (const { file, target, typeOnly } of imports)
    if (!typeOnly && target.startsWith('src/')) graph.set(file, [...(graph.get(file) ?? []), target])
  const done = new Set<string>()
  const cycles: string[] = []
  const walk = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file)
    if (at >= 0) {
      cycles.push([...path.slice(at), file].join(' → '))
      return
    }
    if (done.has(file)) return
    for (const next of graph.get(file) ?? []) walk(next, [...path, file])
    done.add(file)
  }
  for (const file of files) walk(file, [])
  t.same(cycles, [])
})

t.test('src/xen has no clock, no timer and no randomness of its own', async (t) => {
  const forbidden =
    /\b(Date\.now|performance\.now|setTimeout|setInterval|setImmediate|Math\.random|process\.)/
  const wrong = files
    .filter((file) => file.startsWith('src/xen/') || file.startsWith('src/base/'))
    .flatMap((file) =>
      readFileSync(join(root, file), 'utf8')
        .split('\n')
        .flatMap((text, n) =>
          forbidden.test(text) && !/^\s*(\*|\/\/|\/\*)/.test(text) ? [`${file}:${n + 1} ${text.trim()}`] : [],
        ),
    )
  t.same(wrong, [])
})
