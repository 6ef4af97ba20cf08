import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { manifestText } from '../../scripts/manifest.ts'
import { root } from '../commands/fake-domain.ts'

// Each command is a process of its own; a busy machine is slow at starting them.
t.setTimeout(300_000)

t.test('oclif.manifest.json names all commands, arguments and options of the source', async (t) => {
  t.equal(readFileSync(join(root, 'oclif.manifest.json'), 'utf8'), await manifestText())
})
