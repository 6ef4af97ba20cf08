/** The backend of shared folders over a real folder, with things beside it that nobody may touch or read. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BackendDriver } from '../../../src/engine/plugin.ts'
import { P9Backend } from '../../../src/plugins/9pfs/backend.ts'
import { backendNodes, frontendNodes, type P9Device, p9Device } from '../../../src/plugins/9pfs/device.ts'
import { openFolder } from '../../../src/plugins/9pfs/folder.ts'
import { loadNativeCalls } from '../../../src/plugins/9pfs/native.ts'
import type { MakeBackend } from '../../../src/testkit/index.ts'
import { p9Script } from '../../plugins/9pfs/frontend.ts'

const SECRET = 'nobody may write here\n'

export const make9pfs: MakeBackend<P9Device> = async (host) => {
  const place = mkdtempSync(join(tmpdir(), 'xt-9pfs-'))
  const path = join(place, 'shared')
  const outside = join(place, 'outside')
  mkdirSync(join(path, 'sub'), { recursive: true })
  mkdirSync(outside)
  writeFileSync(join(outside, 'secret'), SECRET)
  writeFileSync(join(path, 'file'), 'content\n')
  symlinkSync('../outside', join(path, 'up'))
  symlinkSync(outside, join(path, 'absolute'))
  const root = openFolder(path, { readOnly: false, maxOpen: 64, native: await loadNativeCalls() })
  const backends = new Set<P9Backend>()
  const device = p9Device.parse({ devid: 0, tag: 'share', path })
  const driver: BackendDriver<P9Device> = {
    type: '9pfs',
    device: p9Device as BackendDriver<P9Device>['device'],
    connectOn: 'Initialised',
    create(xenhost, _device, otherend) {
      const backend = new P9Backend(xenhost, otherend, {
        root,
        maxFids: 32,
        maxOpenFiles: 16,
        defer: (task) => void setImmediate(task),
        log: host.log,
      })
      backends.add(backend)
      return backend
    },
  }
  return {
    driver,
    device,
    place: { id: 0, frontend: frontendNodes(device), backend: backendNodes(device) },
    script: p9Script,
    pause: async () => {
      await Promise.all([...backends].map((backend) => backend.settled()))
    },
    violations: () => [
      ...(readFileSync(join(outside, 'secret'), 'utf8') === SECRET
        ? []
        : ['a file beside the folder was written']),
      ...(readdirSync(outside).length === 1 && readdirSync(place).length === 2
        ? []
        : ['something was made beside the folder']),
      ...(root.openInFolder <= 64 ? [] : [`${root.openInFolder} descriptors are open`]),
    ],
    dispose: async () => {
      const { openInFolder } = root
      root.release()
      rmSync(place, { recursive: true, force: true })
      if (openInFolder !== 1) throw new Error(`${openInFolder - 1} descriptors were not given back`)
    },
  }
}
