import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { assetCache, withCacheLock } from '../../../scripts/assets/cache.ts'
import { debianBusybox, debianKernel } from '../../../scripts/assets/fetch-debian-kernel.ts'
import { initramfs, runArgument } from '../../../scripts/assets/make-initramfs.ts'
import { XtError } from '../../../src/base/errors.ts'
import { parseDomainConfig } from '../../../src/config/domain.ts'

/** Sets environment variables until the test ends. */
function setEnv(
  t: { teardown(f: () => void): void },
  values: Readonly<Record<string, string | undefined>>,
): void {
  const before = Object.keys(values).map((key) => [key, process.env[key]] as const)
  const set = (entries: readonly (readonly [string, string | undefined])[]) => {
    for (const [key, value] of entries) {
      if (value === undefined) delete process.env[key]
      else process.env[key] = value
    }
  }
  t.teardown(() => set(before))
  set(Object.entries(values))
}

const nothingGiven = { XT_ASSET_VMLINUZ: undefined, XT_ASSET_BUSYBOX: undefined }

/**
 * Programs that play apt and dpkg-deb: the system's lists know nothing, lists of our own know a kernel once they were
 * updated, and the update says that some source failed. Downloading fails while a file called `offline` is there.
 */
function fakeDebian(t: Test): string {
  const dir = t.testdir({
    bin: {
      'apt-cache': `#!/bin/sh
case "$*" in *Dir::State::lists=*) ;; *) exit 0 ;; esac
[ -e $FAKE/updated ] || exit 0
for name; do :; done
case $name in
  linux-image-cloud-amd64) echo "Package: $name\nVersion: 9.9\nDepends: linux-image-9.9.0-1-cloud-amd64 (= 9.9)\nFilename: x\nSize: 5" ;;
  linux-image-9.9.0-1-cloud-amd64) echo "Package: $name\nVersion: 1:9.9\nFilename: y\nSize: 5" ;;
esac
`,
      'apt-get': `#!/bin/sh
echo "$*" >>$FAKE/calls
case "$*" in
  *update) touch $FAKE/updated; echo 'E: Some index files failed to download.' >&2; exit 100 ;;
  *download*) [ -e $FAKE/offline ] && { echo 'E: Failed to fetch it' >&2; exit 100; }; echo deb >kernel.deb ;;
esac
`,
      'dpkg-deb': `#!/bin/sh
mkdir -p $FAKE/tree/boot && echo kernel >$FAKE/tree/boot/vmlinuz-9.9.0-1-cloud-amd64 && tar -c -C $FAKE/tree .
`,
    },
    cache: {},
  })
  for (const program of ['apt-cache', 'apt-get', 'dpkg-deb']) chmodSync(join(dir, 'bin', program), 0o755)
  setEnv(t, { ...nothingGiven, FAKE: dir, PATH: `${join(dir, 'bin')}:${process.env['PATH']}` })
  return dir
}
const calls = (dir: string, command: RegExp) =>
  readFileSync(join(dir, 'calls'), 'utf8').match(command)?.length

t.test('a kernel is found after an update that failed in part, downloaded once, and kept', async (t) => {
  const dir = fakeDebian(t)
  const lines: string[] = []
  const options = { cache: join(dir, 'cache'), onProgress: (line: string) => lines.push(line) }
  const first = await debianKernel(options)
  t.equal(first.release, '9.9.0-1-cloud-amd64')
  t.equal(readFileSync(first.vmlinuz, 'utf8'), 'kernel\n')
  t.match(
    lines.join('\n'),
    /updating .*\n.*Some index files failed.*\nfetching linux-image-9.9.0-1-cloud-amd64/,
  )
  t.strictSame(await debianKernel(options), first)
  t.equal(calls(dir, / download \S+$/gm), 1)
  t.equal(calls(dir, / update$/gm), 1)
  t.notOk(existsSync(join(dir, 'cache', 'lock')))
})

t.test('a download that fails says why and what to provide instead, and works the next time', async (t) => {
  const dir = fakeDebian(t)
  writeFileSync(join(dir, 'offline'), '')
  const options = { cache: join(dir, 'cache') }
  await t.rejects(debianKernel(options), {
    code: 'XT_ASSET_DOWNLOAD_FAILED',
    message: /Failed to fetch it/,
    hint: /XT_ASSET_VMLINUZ=FILE/,
  })
  spawnSync('rm', [join(dir, 'offline')])
  t.ok(existsSync((await debianKernel(options)).vmlinuz))
})

t.test('a package that no list has is an error that names it', async (t) => {
  const dir = fakeDebian(t)
  await t.rejects(debianBusybox({ cache: join(dir, 'cache') }), {
    code: 'XT_ASSET_NO_PACKAGE',
    message: /busybox-static/,
  })
})

t.test('without apt the error says at once which two files to provide, and how', async (t) => {
  setEnv(t, { ...nothingGiven, PATH: '/nonexistent' })
  const lines: string[] = []
  const options = { cache: t.testdir({}), onProgress: (line: string) => lines.push(line) }
  const error = await debianKernel(options).catch((e: unknown) => e)
  t.same(lines, [], 'nothing is said to be done before')
  t.type(error, XtError)
  t.match(error, { code: 'XT_ASSET_NO_APT', hint: /XT_ASSET_VMLINUZ=FILE and XT_ASSET_BUSYBOX=FILE/ })
})

t.test('files given by environment variables are used; unreadable ones are refused by name', async (t) => {
  const dir = t.testdir({ 'vmlinuz-6.6.6': 'k', busybox: 'b' })
  setEnv(t, {
    XT_ASSET_VMLINUZ: join(dir, 'vmlinuz-6.6.6'),
    XT_ASSET_BUSYBOX: join(dir, 'missing'),
    PATH: '/nonexistent',
  })
  t.strictSame(await debianKernel(), { vmlinuz: join(dir, 'vmlinuz-6.6.6'), release: '6.6.6' })
  await t.rejects(debianBusybox(), { code: 'XT_ASSET_NOT_READABLE', message: /XT_ASSET_BUSYBOX/ })
})

t.test('the cache follows XDG_CACHE_HOME, when that is absolute', async (t) => {
  setEnv(t, { XDG_CACHE_HOME: '/some/where', HOME: '/home/someone' })
  t.equal(assetCache(), '/some/where/xt')
  process.env['XDG_CACHE_HOME'] = 'relative'
  t.equal(assetCache(), '/home/someone/.cache/xt')
})

t.test('two users of a cache take turns, and the lock of a dead process is taken over', async (t) => {
  const cache = t.testdir({ lock: String(spawnSync('true').pid) })
  let inside = 0
  let most = 0
  const work = async () => {
    most = Math.max(most, ++inside)
    await new Promise((resolve) => setTimeout(resolve, 20))
    inside--
  }
  await Promise.all([1, 2, 3].map(() => withCacheLock(cache, () => {}, work)))
  t.equal(most, 1)
  await t.rejects(
    withCacheLock(
      cache,
      () => {},
      () => Promise.reject(new Error('mine')),
    ),
    { message: 'mine' },
  )
  t.notOk(existsSync(join(cache, 'lock')), 'the lock is gone after a failure as well')
})

t.test('an initramfs holds busybox, init and the extra files; equal contents have one path', async (t) => {
  const dir = t.testdir({ busybox: 'the busybox' })
  const options = { cache: dir, busybox: join(dir, 'busybox') }
  const path = await initramfs(options)
  t.equal(await initramfs(options), path)
  const extra = await initramfs({
    ...options,
    extra: [{ path: 'lib/x.ko', kind: 'file', data: Uint8Array.of(1) }],
  })
  t.not(extra, path)
  const archive = gunzipSync(readFileSync(path)).toString('latin1')
  t.match(archive, 'the busybox')
  t.match(archive, "echo 'xt: init started'")
  t.match(gunzipSync(readFileSync(extra)).toString('latin1'), 'lib/x.ko')
})

t.test('the run argument carries any script through the kernel command line', async (t) => {
  const script = 'echo "a  b" \'c\' $HOME; exit 3\n'
  const argument = runArgument(script)
  t.notMatch(argument, /\s/)
  t.equal(Buffer.from(argument.replace('xt.run=', ''), 'base64').toString(), script)
})

t.test('init.sh is a shell script without syntax errors', async (t) => {
  const check = spawnSync('sh', ['-n', new URL('../../../scripts/assets/init.sh', import.meta.url).pathname])
  t.equal(check.status, 0, check.stderr.toString())
})

t.test(
  'examples/debian.cfg is read without a warning, with its paths given on the command line',
  async (t) => {
    const text = readFileSync(new URL('../../../examples/debian.cfg', import.meta.url), 'utf8')
    const parsed = parseDomainConfig(text, 'debian.cfg', ['kernel="/k"', 'ramdisk="/r"'])
    t.match(parsed.config, {
      name: 'debian',
      type: 'pvh',
      kernel: '/k',
      ramdisk: '/r',
      cmdline: 'console=hvc0',
    })
    t.strictSame(parsed.warnings, [])
  },
)
