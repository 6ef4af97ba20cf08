import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { manifestText } from '../../scripts/manifest.ts'
import { DRY_RUNNERS } from '../../src/cli/verbs.ts'
import { root } from '../commands/fake-domain.ts'

// Each command is a process of its own; a busy machine is slow at starting them.
t.setTimeout(300_000)

t.test('oclif.manifest.json names all commands, arguments and options of the source', async (t) => {
  t.equal(readFileSync(join(root, 'oclif.manifest.json'), 'utf8'), await manifestText())
})

t.test('-N tries exactly those commands that know how to be tried', async (t) => {
  const { commands } = JSON.parse(readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as {
    commands: Record<string, { flags: object }>
  }
  const able = Object.keys(commands).filter((id) => 'dryrun' in commands[id]!.flags)
  t.same(able.sort(), [...DRY_RUNNERS].sort())
})
