import { readFileSync } from 'node:fs'
import t from 'tap'
import { longEntry } from '../../src/cli/list-long.ts'
import { parseDomainConfig } from '../../src/config/domain.ts'
import { printJson } from '../../src/config/xl-json.ts'

const fixture = (name: string) =>
  readFileSync(new URL(`../config/fixtures/golden/${name}`, import.meta.url), 'utf8')

/** What `xl list -l mem` of Xen 4.17 printed for the configuration of that name. */
const RECORDED = `{
    "domid": 3,
    "config": {
        "c_info": {
            "type": "pvh",
            "name": "mem",
            "domid": 4294967295,
            "uuid": "00000000-1111-2222-3333-444444444407",
            "run_hotplug_scripts": "True"
        },
        "b_info": {
            "max_memkb": 393216,
            "target_memkb": 229376,
            "video_memkb": 0,
            "sched_params": {
                "sched": "credit2",
                "weight": 256,
                "cap": 0
            },
            "claim_mode": "True",
            "kernel": "/domu/vmlinuz-cloud",
            "cmdline": "console=hvc0 xcmd=report",
            "ramdisk": "/domu/initrd-cloud.gz",
            "type.pvh": {

            },
            "arch_arm": {

            },
            "arch_x86": {
                "msr_relaxed": "False"
            }
        },
        "on_reboot": "restart",
        "on_soft_reset": "soft_reset"
    }
}`

t.test('list -l prints what xl printed for the same configuration', async (t) => {
  const { config } = parseDomainConfig(fixture('pvh-memory-maxmem.cfg'), 'mem.cfg')
  t.equal(printJson(longEntry({ domid: 3, name: 'mem', config })), RECORDED)
})
