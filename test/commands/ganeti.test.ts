/**
 * Ganeti's own class for xen-hvm (Debian's ganeti-3.0; GANETI_LIB names the folder of its Python modules), with xt as the
 * `xl` that it finds on PATH. Its configuration files are for HVM guests; here it writes one for a PVH guest instead.
 */
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { buildHello } from '../../src/testkit/micro-guests/hello.ts'
import { GuestLab } from '../system/guest.ts'
import { finished, root } from './fake-domain.ts'

// Each command is a process of its own; a busy machine is slow at starting them.
t.setTimeout(600_000)

/** Prints what the class answers, as JSON. */
const SCRIPT = `
import json, sys
from ganeti import objects
from ganeti.hypervisor import hv_xen
folder, kernel = sys.argv[1:]

class Hypervisor(hv_xen.XenHvmHypervisor):
  def _GetConfig(self, instance, memory, disks):
    return 'name = "%s"\\ntype = "pvh"\\nkernel = "%s"\\nmemory = %d\\n' % (instance.name, kernel, memory)
  def _InstanceStartupMemory(self, instance):
    return 16

hypervisor = Hypervisor(_cfgdir=folder)
params = {"xen_cmd": "xl"}
instance = objects.Instance(name="gnt", hvparams=params, nics=[])
state = lambda: [list(map(str, each)) for each in hypervisor.GetAllInstancesInfo(params)]
answers = {"verify": hypervisor.Verify(params), "node": hypervisor.GetNodeInfo(params)}
hypervisor.StartInstance(instance, [], True)
answers["paused"] = hypervisor.ListInstances(params)
answers["info"] = list(map(str, hypervisor.GetInstanceInfo("gnt", params)))
answers["renamed"] = hypervisor._RenameInstance("gnt", "gnt2", params).exit_code
answers["names"] = hypervisor.ListInstances(params)
hypervisor._RenameInstance("gnt2", "gnt", params)
hypervisor.StopInstance(instance, force=True)
answers["stopped"] = hypervisor.ListInstances(params)
print(json.dumps(answers))
`
// Debian's modules are for Debian's Python, which is not always the first on PATH.
const PYTHON = '/usr/bin/python3'
const library = process.env['GANETI_LIB'] ?? '/usr/share/ganeti/3.0'

function whyNot(): string | false {
  if (!existsSync(join(library, 'ganeti'))) return `${library} does not exist (install ganeti-3.0)`
  const tried = spawnSync(PYTHON, ['-c', 'import ganeti.hypervisor.hv_xen'], {
    env: { ...process.env, PYTHONPATH: library },
  })
  return tried.status === 0 ? false : 'the Python modules that Ganeti needs are not installed'
}

t.test('Ganeti’s xen-hvm drives xt', { skip: whyNot() }, async (t) => {
  const lab = new GuestLab(t)
  const bin = join(lab.home, 'bin')
  const kernel = join(lab.home, 'hello.elf')
  mkdirSync(bin)
  writeFileSync(kernel, buildHello())
  writeFileSync(join(lab.home, 'drive.py'), SCRIPT)
  writeFileSync(
    join(lab.home, 'xl.mjs'),
    `import { main } from ${JSON.stringify(join(root, 'src/cli/main.ts'))}
process.exitCode = await main(process.argv.slice(2), { root: ${JSON.stringify(root)}, fromSource: true, as: 'xl' })`,
  )
  writeFileSync(join(bin, 'xl'), `#!/bin/sh\nexec '${process.execPath}' '${join(lab.home, 'xl.mjs')}' "$@"\n`)
  chmodSync(join(bin, 'xl'), 0o755)
  const env = {
    ...process.env,
    XT_HOME: lab.home,
    PYTHONPATH: library,
    PATH: `${bin}:${process.env['PATH']}`,
  }
  const { status, stdout, stderr } = await finished(
    spawn(PYTHON, [join(lab.home, 'drive.py'), lab.home, kernel], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  )
  t.equal(status, 0, stderr)
  const answers = JSON.parse(stdout)
  t.equal(answers.verify, null, 'Ganeti has nothing to complain about')
  for (const field of ['memory_total', 'memory_free', 'memory_dom0', 'cpu_total', 'cpu_dom0', 'cpu_nodes'])
    t.ok(answers.node[field] > 0, `it knows ${field}`)
  t.same(answers.node['hv_version'], [4, 17])
  t.same(answers.paused, ['gnt'])
  t.same(answers.info.slice(0, 4), ['gnt', '1', '16', '1'])
  t.equal(answers.renamed, 0)
  t.same(answers.names, ['gnt2'])
  t.same(answers.stopped, [])
})
