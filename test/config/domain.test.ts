import fc from 'fast-check'
import t from 'tap'
import type { XtError } from '../../src/base/errors.ts'
import { checkDomain, parseDomainConfig, readDomain } from '../../src/config/domain.ts'
import { ConfigError } from '../../src/config/errors.ts'
import { KEYS } from '../../src/config/keys.ts'

const SMALLEST = 'name = "web"\ntype = "pvh"\nkernel = "/boot/vmlinuz"\n'
const parse = (text: string, overrides: readonly string[] = [], strict = false) =>
  parseDomainConfig(text, 'web.cfg', overrides, {
    strict,
    newUuid: () => '6b2f9c0e-3a51-4d7e-9f10-2c8d5b7a1e44',
  })
const codes = (text: string) =>
  checkDomain(text, 'web.cfg').map(({ severity, code }) => `${severity} ${code}`)

t.test('defaults are filled in', async (t) => {
  const { config, warnings } = parse(SMALLEST)
  t.same(warnings, [])
  t.match(config, {
    name: 'web',
    uuid: '6b2f9c0e-3a51-4d7e-9f10-2c8d5b7a1e44',
    type: 'pvh',
    cmdline: '',
    memoryKiB: 32768,
    maxMemoryKiB: 32768,
    vcpus: 1,
    maxVcpus: 1,
    onPoweroff: 'destroy',
    onReboot: 'restart',
    onCrash: 'destroy',
    disks: [],
    vifs: [],
    cpu: 'auto',
    plugins: [],
  })
  t.same(JSON.parse(JSON.stringify(config)).libxl.c_info.name, 'web')
})

t.test('root and extra make the command line, unless cmdline is given', async (t) => {
  t.equal(
    parse(`${SMALLEST}root="/dev/xvda1"\nextra="ro quiet"\n`).config.cmdline,
    'root=/dev/xvda1 ro quiet',
  )
  const { config, warnings } = parse(`${SMALLEST}root="/dev/xvda1"\ncmdline="single"\n`)
  t.equal(config.cmdline, 'single')
  t.match(warnings, [{ severity: 'warning', code: 'XT_CONFIG_OVERRULED', line: 4, column: 1 }])
})

t.test('settings of the command line win over the file and reach its lists with +=', async (t) => {
  const { config } = parse(`${SMALLEST}memory=64\ndisk=["/a,raw,xvda,w"]\n# end`, [
    'memory=128',
    'disk+=["/b,raw,xvdb,r"]',
  ])
  t.equal(config.memoryKiB, 128 * 1024)
  t.match(config.disks, [
    { vdev: 'xvda', readwrite: true },
    { vdev: 'xvdb', readwrite: false },
  ])
})

t.test('faults on the command line are said to be there', async (t) => {
  t.throws(() => parse(SMALLEST, ['vcpus=2', 'memory=']), {
    code: 'XT_CONFIG_SYNTAX',
    message: /^command line:2:8: /,
  })
})

t.test('an unknown key is a warning with the nearest known key', async (t) => {
  t.match(parse(`${SMALLEST}vcpu = 2\n`).warnings, [
    { severity: 'warning', code: 'XT_CONFIG_UNKNOWN_KEY', line: 4, column: 1, hint: "Did you mean `vcpus'?" },
  ])
})

t.test('strict makes every warning an error and leaves notes alone', async (t) => {
  t.throws(() => parse(`${SMALLEST}memory = "512M"\n`, [], true), { code: 'XT_CONFIG_NOT_A_NUMBER' })
  t.match(parse(`${SMALLEST}hap = 1\n`, [], true).warnings, [
    { severity: 'note', code: 'XT_CONFIG_NO_EFFECT' },
  ])
})

t.test('a fault inside a spec is found in the middle of its string', async (t) => {
  t.match(checkDomain(`${SMALLEST}disk = [\n  "format=vmdk, vdev=xvda, target=/a",\n]\n`, 'web.cfg'), [
    { severity: 'error', code: 'XT_CONFIG_SPEC', line: 5, column: 11, near: 'vmdk' },
  ])
})

t.test('all faults are reported at once, in the order of the text', async (t) => {
  t.same(codes('type = "pvh"\nvcpus = 4\nmaxvcpus = 2\non_crash = "explode"\ndisk = ["a,b,c"]\n'), [
    'error XT_CONFIG_MISSING',
    'error XT_CONFIG_NO_KERNEL',
    'error XT_CONFIG_VALUE',
    'error XT_CONFIG_VALUE',
    'error XT_CONFIG_SPEC',
  ])
})

t.test('guests that cannot run are refused by the second step only', async (t) => {
  const pv = 'name="a"\nkernel="/k"\n'
  t.same(codes(pv), ['error XT_CONFIG_GUEST_TYPE'])
  t.match(readDomain(pv, 'a.cfg').libxl, { c_info: { type: 'pv' } })
  t.same(codes('name="a"\ntype="hvm"\n'), ['error XT_CONFIG_GUEST_TYPE'])
})

t.test('what xt does not have is refused by name', async (t) => {
  for (const setting of ['pci=["03:00.0"]', 'vtpm=["backend=0"]', 'pvshim=1', 'usbctrl=["type=pv"]']) {
    t.same(codes(`${SMALLEST}${setting}\n`), ['error XT_CONFIG_NOT_HERE'], setting)
  }
  t.same(codes(`${SMALLEST}pvshim=0\npci=[]\n`), [])
})

t.test('memory and disks that no guest can have are refused', async (t) => {
  t.same(codes(`${SMALLEST}memory=0\n`), ['error XT_CONFIG_OUT_OF_BOUNDS'])
  t.same(codes(`${SMALLEST}memory="-5"\n`), ['error XT_CONFIG_OUT_OF_BOUNDS'])
  t.same(codes(`${SMALLEST}memory=64\nmaxmem=32\n`), ['error XT_CONFIG_OUT_OF_BOUNDS'])
  t.same(codes(`${SMALLEST}vcpus=129\n`), ['error XT_CONFIG_SCHEMA'])
  t.same(codes(`${SMALLEST}disk=["/a,,xvda","/b,,d0p0"]\n`), ['error XT_CONFIG_DUPLICATE_DISK'])
  t.same(codes(`${SMALLEST}disk=["/a,,sdq"]\n`), ['error XT_CONFIG_DISK_NAME'])
  t.same(codes(SMALLEST.replace('"web"', '""')), ['error XT_CONFIG_SCHEMA'])
})

t.test('a name that is not UTF-8 is refused where it stands', async (t) => {
  t.match(checkDomain(SMALLEST.replace('vmlinuz', '\udce9'), 'web.cfg'), [
    { code: 'XT_CONFIG_NOT_UTF8', line: 3, column: 10 },
  ])
})

t.test('exit statuses are those of xl', async (t) => {
  const status = (text: string) => {
    try {
      readDomain(text, 'a.cfg')
      return 0
    } catch (error) {
      return (error as XtError).exit
    }
  }
  t.equal(status('type="pvh"\nkernel="/k"'), 1)
  t.equal(status('name="a"\nkernel="/k"\ntimer_mode=2'), 3)
  t.equal(status('name="a"\ntype="hvm"\nviridian=["turbo"]'), 3)
  t.equal(status('name="a"\ntype="hvm"\npci=["x"]'), 6)
})

t.test('hostile files end in an error in bounded time', async (t) => {
  const size = 1 << 20
  const hostile = [
    `a=${'['.repeat(size)}`,
    '"'.repeat(size),
    '='.repeat(size),
    `${SMALLEST}${'x'.repeat(60)}=1\n`.repeat(size / 128),
    `${SMALLEST}disk=[${'"a,b,c",'.repeat(size / 8)}]`,
    `${SMALLEST}vif=[${'"rate=1MB/s,x",'.repeat(size / 16)}]`,
    `${SMALLEST}vnuma=[${'["size=1"],'.repeat(size / 12)}]`,
    `${SMALLEST}memory=${'9'.repeat(size)}`,
    `${SMALLEST}disk=["${' ,'.repeat(size / 2)}"]`,
  ]
  for (const text of hostile) t.ok(checkDomain(text, 'a.cfg').length > 0)
})

const value = fc.oneof(
  fc.constantFrom(
    '0',
    '1',
    '"-1"',
    '"x"',
    '""',
    '[]',
    '["a"]',
    '[["a=1"]]',
    '[1,[2],3]',
    '99999999999',
    '"host,x=1"',
    '"pvh"',
    '"a,b=c"',
  ),
  fc.string().map((text) => JSON.stringify(text)),
)

t.test('no settings of known keys end in anything but a configuration or a ConfigError', async (t) => {
  const setting = fc.tuple(fc.constantFrom(...KEYS.keys()), fc.constantFrom('=', '+='), value)
  fc.assert(
    fc.property(
      fc.array(setting, { maxLength: 12 }),
      fc.constantFrom('pvh', 'hvm', 'pv'),
      (settings, type) => {
        const text = `${SMALLEST.replace('pvh', type)}${settings.map((parts) => `${parts.join('')}\n`).join('')}`
        try {
          readDomain(text, 'a.cfg')
          parseDomainConfig(text, 'a.cfg')
        } catch (error) {
          if (!(error instanceof ConfigError)) throw error
        }
      },
    ),
    { numRuns: 1500 },
  )
  t.pass()
})

t.test('a word of a megabyte is quoted by its beginning', async (t) => {
  const long = 'x'.repeat(1 << 20)
  for (const text of [`name="${long}`, `name="x"\ntype="${long}"`, `${long}=1`, `disk=["${long}=1"]`])
    for (const { message } of checkDomain(text, 'x.cfg')) t.ok(message.length < 1000)
})

t.test('a check goes on after errors of syntax and leaves out what only they led to', (t) => {
  const text = 'name="x"\ntype=pvh\nkernel="/k\nmemory="512M"\nvcpu=2\non_crash="explode"\n'
  t.same(
    checkDomain(text, 'x.cfg').map(({ line, code }) => [line, code]),
    [
      [2, 'XT_CONFIG_SYNTAX'],
      [3, 'XT_CONFIG_LEXICAL'],
      [4, 'XT_CONFIG_NOT_A_NUMBER'],
      [5, 'XT_CONFIG_UNKNOWN_KEY'],
      [6, 'XT_CONFIG_VALUE'],
    ],
  )
  t.end()
})
