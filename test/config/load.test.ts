import { execFileSync } from 'node:child_process'
import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { decodeText, loadXtSettings, MOST_BYTES, readConfigFile } from '../../src/config/load.ts'

t.test('a file is read as it is', async (t) => {
  const dir = t.testdir({ 'web.cfg': 'name = "wéb"\n' })
  t.equal(await readConfigFile(join(dir, 'web.cfg')), 'name = "wéb"\n')
})

t.test('/dev/null is an empty file: everything is on the command line', async (t) => {
  t.equal(await readConfigFile('/dev/null'), '')
})

t.test(
  'what is not there, a directory, a FIFO and a huge file are refused at once, with status 3',
  async (t) => {
    const dir = t.testdir({ sub: {} })
    const huge = join(dir, 'huge.cfg')
    writeFileSync(huge, '')
    truncateSync(huge, 100 * 1024 * 1024)
    const fifo = join(dir, 'fifo')
    execFileSync('mkfifo', [fifo])
    const refused = async (file: string, reason: string) =>
      t.rejects(readConfigFile(file), {
        code: 'XT_CONFIG_FILE',
        exit: 3,
        message: `Failed to read config file: ${file}: ${reason}`,
      })
    await refused(join(dir, 'nosuch.cfg'), 'No such file or directory')
    await refused(join(dir, 'sub'), 'Is a directory')
    await refused(fifo, 'Not a regular file')
    await refused(huge, 'Larger than 4 MiB, as no configuration is')
    await refused('/dev/zero', 'Not a regular file')
    await refused('a\0b', 'Not a file name')
    t.ok(MOST_BYTES < 100 * 1024 * 1024)
  },
)

t.test('bytes that are not UTF-8 become lone surrogates, all others stay characters', async (t) => {
  t.equal(decodeText(Buffer.from([0x61, 0xe9, 0x62])), 'a\udce9b')
  t.equal(decodeText(Buffer.from([0xc3, 0xa9, 0xed, 0xa0, 0x80, 0xff])), 'é\udced\udca0\udc80\udcff')
  t.equal(decodeText(Buffer.from('\ufeffa')), '\ufeffa')
})

t.test('every text survives decoding, and any bytes can be decoded', async (t) => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => decodeText(Buffer.from(text)) === text))
  fc.assert(fc.property(fc.uint8Array(), (bytes) => decodeText(bytes).length <= bytes.length))
  t.pass()
})

t.test('settings come from the nearest file, with defaults for what it does not say', async (t) => {
  const dir = t.testdir({ '.xtrc.json': '{ "cpu": "kvm", "plugins": ["./mine.ts"] }', sub: {} })
  t.match(await loadXtSettings(dir), {
    cpu: 'kvm',
    plugins: ['./mine.ts'],
    strict: false,
    file: join(dir, '.xtrc.json'),
  })
})

t.test('the package.json of a plugin is no settings file', async (t) => {
  const dir = t.testdir({
    '.xtrc.json': '{ "bridge": "br7" }',
    plugin: { 'package.json': '{ "name": "xt-plugin-a", "xt": { "plugin": "./a.js" } }' },
  })
  t.match(await loadXtSettings(`${dir}/plugin`), { bridge: 'br7' })
})

t.test('settings that are unknown or wrong are refused with the name of the file', async (t) => {
  const unknown = t.testdir({ '.xtrc.yaml': 'cpu: software\nbridg: br0\n' })
  await t.rejects(loadXtSettings(unknown), { code: 'XT_CONFIG_SETTINGS', message: /\.xtrc\.yaml: .*bridg/ })
})

t.test('a settings file that cannot be parsed is refused with its name', async (t) => {
  const broken = t.testdir({ '.xtrc.json': '{' })
  await t.rejects(loadXtSettings(broken), { code: 'XT_CONFIG_SETTINGS', message: /\.xtrc\.json/ })
})
