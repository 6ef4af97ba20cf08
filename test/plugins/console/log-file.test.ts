import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createLog } from '../../../src/base/log.ts'
import { ConsoleLog } from '../../../src/plugins/console/log-file.ts'
import { Scrollback } from '../../../src/plugins/console/scrollback.ts'

const silent = createLog(() => {})

t.test('everything printed is in the file, after what was there', async (t) => {
  const path = join(t.testdir({ 'guest.log': 'last boot\n' }), 'guest.log')
  const scrollback = new Scrollback(1024)
  const log = new ConsoleLog(path, 1e6, scrollback, silent)
  await log.open()
  for (const line of ['one\n', 'two\n', 'three\n']) {
    scrollback.append(Buffer.from(line))
    log.outputArrived()
  }
  await log.close()
  t.equal(readFileSync(path, 'utf8'), 'last boot\none\ntwo\nthree\n')
})

t.test('a full log becomes FILE.1 and a new one is begun', async (t) => {
  const path = join(t.testdir({}), 'guest.log')
  const scrollback = new Scrollback(1024)
  const log = new ConsoleLog(path, 100, scrollback, silent)
  await log.open()
  for (let i = 0; i < 3; i++) {
    scrollback.append(Buffer.alloc(60, String(i)))
    log.outputArrived()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await log.close()
  t.equal(readFileSync(`${path}.1`, 'utf8').length + readFileSync(path, 'utf8').length, 180)
  t.ok(readFileSync(`${path}.1`, 'utf8').length >= 100)
})

t.test('output faster than the disk leaves a mark', async (t) => {
  const path = join(t.testdir({}), 'guest.log')
  const scrollback = new Scrollback(10)
  const log = new ConsoleLog(path, 1e6, scrollback, silent)
  await log.open()
  scrollback.append(Buffer.from('0123456789abcdef'))
  log.outputArrived()
  await log.close()
  t.equal(readFileSync(path, 'utf8'), '\n[xt: 6 bytes missing]\n6789abcdef')
})

t.test('a log in a missing folder is one clear error', async (t) => {
  const log = new ConsoleLog(join(t.testdir({}), 'no', 'guest.log'), 100, new Scrollback(10), silent)
  await t.rejects(log.open(), { code: 'XT_CONSOLE_LOG', message: /no\/guest\.log: ENOENT/ })
})
