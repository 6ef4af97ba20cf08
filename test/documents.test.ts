import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const documents = globSync('**/*.md', {
  cwd: root,
  exclude: (path) => /^(?:node_modules|dist|bench-results|\.tap)$|\/node_modules$/.test(path),
})

t.test('every link of every document leads to a file of the project', async (t) => {
  t.ok(documents.length > 10)
  for (const document of documents) {
    const text = readFileSync(join(root, document), 'utf8').replace(/```[\s\S]*?```/g, '')
    const targets = [...text.matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)/g)].map(([, target]) => target!)
    const broken = targets.filter((target) => !existsSync(join(root, dirname(document), target)))
    t.same(broken, [], document)
  }
})

t.test('every test that the specification names is there', async (t) => {
  const text = readFileSync(join(root, 'SPECIFICATION.md'), 'utf8')
  const named = [...text.matchAll(/`(test\/[\w./-]+\.ts)`/g)].map(([, file]) => file!)
  t.ok(named.length > 10)
  t.same(
    named.filter((file) => !existsSync(join(root, file))),
    [],
  )
})
