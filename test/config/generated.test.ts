import t from 'tap'
import { generatedFiles, staleFiles } from '../../scripts/generate-schemas.ts'
import { parseDomainConfig } from '../../src/config/domain.ts'
import { KEYS } from '../../src/config/keys.ts'

t.test('the JSON Schemas and the page of keys are fresh', async (t) => {
  t.same(staleFiles(), [])
})

t.test('the page has a row for every key', async (t) => {
  const page = generatedFiles().get('docs/configuration.md')!
  t.same(
    [...KEYS.keys()].filter((key) => !page.includes(`| \`${key}\` |`)),
    [],
  )
})

t.test('a configuration has no member that its schema does not name', async (t) => {
  const { properties } = JSON.parse(generatedFiles().get('config-schema/domain.json')!)
  const { config } = parseDomainConfig('name="a"\ntype="pvh"\nkernel="/k"\n', 'a.cfg')
  t.same(
    Object.keys(config).filter((name) => properties[name] === undefined),
    [],
  )
})
