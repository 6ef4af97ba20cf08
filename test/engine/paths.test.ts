import { chmodSync, mkdirSync, statSync, symlinkSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import {
  checkSocketPath,
  directoryError,
  ensurePaths,
  fileName,
  hostWords,
  xtPaths,
} from '../../src/engine/paths.ts'

t.test('XT_HOME moves everything', async (t) => {
  t.same(xtPaths({ XT_HOME: '/x' }, 0), { runDir: '/x/run', stateDir: '/x/state' })
})

t.test('root has the system directories, others have those of XDG', async (t) => {
  t.same(xtPaths({}, 0), { runDir: '/run/xt', stateDir: '/var/lib/xt' })
  t.same(xtPaths({ XDG_RUNTIME_DIR: '/run/user/7', XDG_STATE_HOME: '/home/u/s' }, 7), {
    runDir: '/run/user/7/xt',
    stateDir: '/home/u/s/xt',
  })
})

t.test('without XDG variables, or with relative ones, there is still a place', async (t) => {
  const paths = xtPaths({ XDG_RUNTIME_DIR: 'relative', XDG_STATE_HOME: '' }, 7)
  t.match(paths.runDir, /\/xt-7$/)
  t.match(paths.stateDir, /\/\.local\/state\/xt$/)
})

t.test('all directories are made for the user alone', async (t) => {
  const home = t.testdir()
  const paths = xtPaths({ XT_HOME: home })
  ensurePaths(paths)
  for (const path of [
    paths.runDir,
    paths.stateDir,
    join(paths.runDir, 'domains'),
    join(paths.stateDir, 'log'),
  ]) {
    t.equal(statSync(path).mode & 0o777, 0o700, path)
  }
})

t.test('a directory that is open to others, or a link, is refused', async (t) => {
  const home = t.testdir({ elsewhere: {} })
  mkdirSync(join(home, 'run'))
  chmodSync(join(home, 'run'), 0o755)
  t.throws(() => ensurePaths(xtPaths({ XT_HOME: home })), { code: 'XT_DIRECTORY_UNSAFE' })
  const second = t.testdir({ elsewhere: {} })
  symlinkSync(join(second, 'elsewhere'), join(second, 'run'))
  t.throws(() => ensurePaths(xtPaths({ XT_HOME: second })), { code: 'XT_DIRECTORY_UNSAFE' })
})

t.test('a directory that cannot be made is named with the reason', async (t) => {
  const home = t.testdir({ run: 'a file' })
  t.throws(() => ensurePaths(xtPaths({ XT_HOME: home })), {
    code: 'XT_DIRECTORY_UNUSABLE',
    message: /run: something that is no directory is in its place$/,
  })
})

t.test('a socket path that the system would cut short is refused', async (t) => {
  t.equal(checkSocketPath('/'.padEnd(107, 'x')).length, 107)
  t.throws(() => checkSocketPath('/'.padEnd(108, 'x')), { code: 'XT_SOCKET_PATH_TOO_LONG' })
})

t.test('every name becomes one path component of its own', async () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => {
      const [first, second] = [fileName(a), fileName(b)]
      const one = !first.includes('/') && !first.startsWith('.') && first.length <= 200
      return one && (a.toWellFormed() === b.toWellFormed() || first !== second)
    }),
  )
})

t.test('a name of thousands of letters still fits', async (t) => {
  t.equal(fileName('x'.repeat(5000)).length, 64)
})

t.test(
  'what the system has against a directory is said in its words, not in the names of its calls',
  async (t) => {
    const error = (errno: number, code: string) =>
      Object.assign(new Error(`${code}: x, write`), { errno: -errno, code, syscall: 'write' })
    t.match(directoryError('/run/xt', error(constants.errno.ENOSPC, 'ENOSPC')), {
      code: 'XT_DIRECTORY_UNUSABLE',
      message: '/run/xt: no space left on device',
      hint: /XT_HOME/,
    })
    t.equal(hostWords(error(constants.errno.EROFS, 'EROFS')), 'read-only file system')
    const other = new Error('x')
    t.equal(directoryError('/run/xt', other), other, 'any other error stays what it is')
  },
)
