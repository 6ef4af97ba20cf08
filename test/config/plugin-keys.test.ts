/** Keys of a configuration that belong to plugins. */
import t from 'tap'
import { checkDomain, namedPlugins, parseDomainConfig } from '../../src/config/domain.ts'

const base = 'name="a"\ntype="pvh"\nkernel="/k"\nmemory=64\n'
const pluginKeys = new Set(['hello', 'memory'])

t.test('a key of a plugin comes out as it stands: strings and lists, and is no unknown key', async (t) => {
  const text = `${base}hello = [ "id=0", 7, [ "x" ] ]\n`
  const { config, warnings } = parseDomainConfig(text, 'a.cfg', [], { pluginKeys, strict: true })
  t.same(config.stanzas, { hello: ['id=0', '7', ['x']] })
  t.same(warnings, [])
})

t.test("without the plugin it is an unknown key, and what xl knows is never a plugin's", async (t) => {
  const text = `${base}hello = "x"\n`
  t.match(checkDomain(text, 'a.cfg'), [{ code: 'XT_CONFIG_UNKNOWN_KEY', line: 5 }])
  const { config } = parseDomainConfig(text, 'a.cfg', ['memory=32'], { pluginKeys })
  t.same(config.stanzas, { hello: 'x' })
  t.equal(config.memoryKiB, 32 * 1024)
})

t.test('the plugins of a text are known before it is judged, whatever else is in it', async (t) => {
  t.same(namedPlugins(`${base}plugins=["./a.js", "b"]\nwhat = 1\n`, 'a.cfg'), ['./a.js', 'b'])
  t.same(namedPlugins(base, 'a.cfg', ['plugins=["c"]']), ['c'])
  t.same(namedPlugins('plugins="a"\n', 'a.cfg'), [])
  t.same(namedPlugins('plugins = [ "a" \n memory memory', 'a.cfg'), [])
})
