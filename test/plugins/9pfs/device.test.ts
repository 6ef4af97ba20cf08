import { join } from 'node:path'
import t from 'tap'
import { parseP9 } from '../../../src/config/specs/p9.ts'
import { backendNodes, frontendNodes, mustBeServed, p9Device } from '../../../src/plugins/9pfs/device.ts'
import { share } from '../../../src/plugins/9pfs/share.ts'

const data = { devid: 0, tag: 'data', path: '/srv/data' }

t.test('the nodes are those that libxl writes', async (t) => {
  const device = p9Device.parse(data)
  t.same(frontendNodes(device), { tag: 'data' })
  t.same(backendNodes(device), { path: '/srv/data', security_model: 'none' })
})

t.test('what cannot be followed is refused by its name, with what it would need', async (t) => {
  const served = [{}, { securityModel: 'none' }, { type: 'xen_9pfsd', maxOpenFiles: 5 }, { backend: '0' }]
  for (const more of served) t.ok(mustBeServed(p9Device.parse({ ...data, ...more })))
  const refused = [
    [{ securityModel: 'passthrough' }, 'share data: security_model=passthrough cannot be followed yet'],
    [{ backend: 'storage' }, 'share data: backend=storage cannot be followed yet'],
    [{ maxSpace: 10 }, 'share data: max-space=10 cannot be followed yet'],
    [{ maxFiles: 10 }, 'share data: max-files=10 cannot be followed yet'],
    [{ autoDelete: true }, 'share data: auto-delete=1 cannot be followed yet'],
  ] as const
  for (const [more, message] of refused) {
    const device = p9Device.parse({ ...data, ...more })
    t.throws(() => mustBeServed(device), { code: 'XT_9PFS_UNSUPPORTED', message, hint: /^It would need / })
  }
})

t.test('a folder that is not there, or is none, is one error that names it', async (t) => {
  const folder = t.testdir({ file: '' })
  const cases = [
    [join(folder, 'nowhere'), 'there is no such folder'],
    [join(folder, 'file'), 'it is no folder'],
  ] as const
  for (const [path, reason] of cases) {
    const message = `share data: cannot share ${path}: ${reason}`
    await t.rejects(share(p9Device.parse({ ...data, path }), 1), { code: 'XT_9PFS_FOLDER', message })
  }
  using shared = await share(p9Device.parse({ ...data, path: folder }), 1)
  t.ok(shared.root.isDirectory)
})

t.test('readonly is our own word in a p9 spec', async (t) => {
  const spec = (more: string) => parseP9(`tag=x,path=/y,security_model=none${more}`)
  t.equal(spec(',readonly=1').value?.readOnly, true)
  t.equal(spec(',readonly=yes').value?.readOnly, true)
  t.equal(spec(',readonly=0').value?.readOnly, false)
  t.equal(spec('').value?.readOnly, undefined)
  t.match(spec(',readonly=maybe').faults, [{ message: 'readonly is neither 0 nor 1' }])
})
