/** The printed scripts in the shells themselves: what is proposed for a line that is being typed. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FakeDomain, xt, xtHome } from './fake-domain.ts'

// Each command is a process of its own; a busy machine is slow at starting them.
t.setTimeout(300_000)

/** Runs the function _xt as the shell does: with the words, the last of which is being typed. */
const DRIVERS = {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's
  bash: 'source "$SCRIPT"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _xt; printf "%s\\n" "${COMPREPLY[@]}"',
  zsh: `compdef() { : }
compadd() { shift; print -l -- "\${(M)@:#\${words[CURRENT]}*}" }
_files() { print -l -- *.cfg(N) *(N/) }
source "$SCRIPT"; words=("$@"); CURRENT=$#; _xt`,
} as const

for (const shell of ['bash', 'zsh'] as const) {
  const missing = spawnSync(shell, ['-c', ':']).error === undefined ? false : `${shell} is not installed`

  t.test(`${shell}: commands, options, domains and files`, { skip: missing }, async (t) => {
    const home = xtHome(t)
    const { status, stdout } = await xt(home, 'completion', shell)
    t.equal(status, 0)
    const script = join(home, 'script')
    writeFileSync(script, stdout)
    const cwd = join(home, 'files')
    mkdirSync(join(cwd, 'guests'), { recursive: true })
    for (const file of ['web.cfg', 'web.img']) writeFileSync(join(cwd, file), '')
    await FakeDomain.start(t, home, 'web')
    await FakeDomain.start(t, home, 'mühle')

    let XT_HOME = home
    const propose = (...words: readonly string[]): string[] => {
      const options = {
        cwd,
        encoding: 'utf8',
        env: { ...process.env, SCRIPT: script, XT_HOME, LC_ALL: 'C.UTF-8' },
      } as const
      const argv =
        shell === 'bash' ? ['--norc', '-c', DRIVERS.bash, 'bash'] : ['-f', '-c', DRIVERS.zsh, 'zsh']
      const { stdout, stderr } = spawnSync(shell, [...argv, 'xt', ...words], options)
      t.equal(stderr, '', words.join(' '))
      return stdout
        .split('\n')
        .filter((word) => word !== '')
        .sort()
    }
    t.same(propose('pau'), ['pause'])
    t.same(propose('-v', 'unp'), ['unpause'])
    t.same(propose('help', 'unp'), ['unpause'])
    t.ok(['config', 'create', 'help', 'list', 'xenstore'].every((verb) => propose('').includes(verb)))
    t.same(propose('config', ''), ['check', 'schema', 'show'])
    t.same(propose('config', 'check', '--s'), ['--strict'])
    t.same(propose('config', 'schema', ''), ['domain', 'settings'])
    t.same(propose('console', '--re'), ['--read-only'])
    t.same(propose('console', '-t', ''), ['pv', 'serial', 'vuart'])
    t.same(propose('pause', ''), ['mühle', 'web'])
    t.same(propose('pause', 'w'), ['web'])
    XT_HOME = ''
    t.same(propose('pause', 'w'), ['web'], 'the directory of whoever printed the script')
    XT_HOME = join(home, 'elsewhere')
    t.same(propose('pause', ''), [])
    XT_HOME = home
    t.same(propose('pause', 'web', ''), [])
    t.same(propose('uptime', 'web', 'w'), ['web'])
    t.same(propose('create', ''), ['guests', 'web.cfg'])
    t.same(propose('create', '-f', ''), ['guests', 'web.cfg'])
  })
}

t.test('another shell is refused', async (t) => {
  const { status, stdout } = await xt(xtHome(t), 'completion', 'fish')
  t.same({ status, stdout }, { status: 2, stdout: '' })
})
