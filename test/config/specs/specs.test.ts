import fc from 'fast-check'
import t from 'tap'
import { parseChannel } from '../../../src/config/specs/channel.ts'
import { CpuidPolicy } from '../../../src/config/specs/cpuid.ts'
import { parseCpus, printCpus } from '../../../src/config/specs/cpus.ts'
import { parseDisk } from '../../../src/config/specs/disk.ts'
import type { SpecResult } from '../../../src/config/specs/fault.ts'
import { parseVfb, parseVkb } from '../../../src/config/specs/framebuffer.ts'
import { parseP9 } from '../../../src/config/specs/p9.ts'
import { parsePci, parseRdm } from '../../../src/config/specs/pci.ts'
import {
  parsePvcalls,
  parseSmbios,
  parseVdispl,
  parseVirtio,
  parseVtpm,
} from '../../../src/config/specs/pv-devices.ts'
import { parseIomem, parseIoports, parseIrq, parseLlcColors } from '../../../src/config/specs/ranges.ts'
import { parseRate } from '../../../src/config/specs/rate.ts'
import { parseMemorySize } from '../../../src/config/specs/size.ts'
import { SoundCard } from '../../../src/config/specs/sound.ts'
import { parseUsbController, parseUsbDevice } from '../../../src/config/specs/usb.ts'
import { vdevNumber } from '../../../src/config/specs/vdev.ts'
import { parseVif, parseVifArguments } from '../../../src/config/specs/vif.ts'
import { VnumaNode } from '../../../src/config/specs/vnuma.ts'

const HOST = {
  nodes: [
    [0, 1, 2, 3],
    [4, 5, 6, 7],
  ],
}

t.test('a disk fault says what and where', async (t) => {
  t.match(parseDisk('vdev=xvda, format=vmdk,target=/a').faults, [
    { message: 'unknown value for format', near: 'vmdk', at: 18 },
  ])
})

t.test('every disk that is accepted has a name, a format, and a target or a removable medium', async (t) => {
  const piece = fc.constantFrom(
    'raw',
    'xvda',
    'w',
    '/a',
    '',
    'cdrom',
    'target=/b,c',
    'vdev=hdc',
    'format=qcow2',
    'access=ro',
    'file:/x',
    ':',
    '=',
    ' ',
    'backend=1',
    'script=s',
    'hdc:cdrom',
    '\n',
    'colo-port=7',
    'discard',
    'unknown=1',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), fc.constantFrom(',', ', ', ':'), (parts, separator) => {
      const { value, faults } = parseDisk(parts.join(separator))
      if (value === undefined) return faults.length > 0
      return (
        value.vdev !== undefined &&
        value.format !== undefined &&
        (value.target !== undefined || value.removable)
      )
    }),
    { numRuns: 2000 },
  )
  t.pass()
})

t.test('whole disks have numbers of their own, partitions follow them', async (t) => {
  t.equal(vdevNumber('xvda')?.number, 51712)
  t.equal(vdevNumber('d5'), undefined)
  t.equal(vdevNumber('d010p0')?.disk, 8)
  fc.assert(
    fc.property(fc.nat((1 << 20) - 1), fc.nat(255), (disk, partition) => {
      t.match(vdevNumber(`d${disk}p${partition}`), { disk, partition })
    }),
  )
})

t.test('a vif goes on after a bad option, network-attach does not', async (t) => {
  t.match(parseVif('speed=10, bridge=br0'), {
    value: { bridge: 'br0' },
    warnings: [{ message: 'unknown option', at: 0 }],
  })
  t.match(parseVifArguments(['speed=10', 'bridge=br0']), { value: undefined, faults: [{ near: 'speed=10' }] })
})

t.test('a mac of fewer than six groups is a fault, not a read past its end', async (t) => {
  t.match(parseVif('mac=00:16').warnings, [{ message: 'invalid mac' }])
})

t.test('a rate is bytes per interval, an interval without a unit is in seconds and doubtful', async (t) => {
  t.same(parseRate('10Mb/s').value, { bytesPerInterval: 62500n, intervalUs: 50000 })
  t.match(parseRate('1KB/s@2'), { value: { bytesPerInterval: 2000n }, warnings: [{ near: '2' }] })
  t.match(parseVif('bridge=b,rate=10mbit').faults, [{ message: 'invalid rate', near: '10mbit', at: 14 }])
})

t.test('what a p9 entry does not say comes from the entry before, with a warning', async (t) => {
  const first = parseP9('tag=a,path=/a,security_model=none').value
  t.match(parseP9('tag=b,path=/b', first), {
    value: { tag: 'b', path: '/b', securityModel: 'none' },
    warnings: [{}],
  })
  t.match(parseP9('tag=b,path=/b').faults, [{ message: 'missing required field' }])
})

t.test('sets of CPUs are done item by item', async (t) => {
  t.same(parseCpus('nodes:1,^6,0', HOST).value, [0, 4, 5, 7])
  t.equal(printCpus([0, 1, 2, 4], 8), '0-2,4')
  t.match(parseCpus('0,^all', HOST).faults, [{ at: 2, near: '^all' }])
})

t.test('printed sets of CPUs are read back as they were', async (t) => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(7), { minLength: 1 }), (cpus) => {
      const sorted = [...cpus].sort((a, b) => a - b)
      t.same(parseCpus(printCpus(sorted, 8), HOST).value, sorted)
    }),
  )
})

t.test('cpuid flags become characters of a register; the family is split over two fields', async (t) => {
  const policy = new CpuidPolicy()
  policy.addFlags('host,sse4.1=0,family=0x17,nosuch=1')
  t.same(policy.finish(), {
    cpuid: [{ leaf: 1, eax: 'xxxx00001000xxxxxxxx1111xxxxxxxx', ecx: 'xxxxxxxxxxxx0xxxxxxxxxxxxxxxxxxx' }],
    msr: [],
  })
})

t.test('sizes are MiB without a letter', async (t) => {
  t.equal(parseMemorySize('512'), 524288n)
  t.equal(parseMemorySize('1G'), 1048576n)
  t.equal(parseMemorySize('5x'), undefined)
})

t.test(
  'no text makes a parser of specs throw, and what is refused says why at a place in the text',
  async (t) => {
    const card = (text: string) => new SoundCard().add(text)
    const parsers: readonly ((text: string) => SpecResult<unknown>)[] = [
      parseDisk,
      parseVif,
      parseRate,
      parseP9,
      parseChannel,
      parseVfb,
      parseVkb,
      parseUsbController,
      parseUsbDevice,
      parsePci,
      parseRdm,
      parseVtpm,
      parsePvcalls,
      parseVdispl,
      parseVirtio,
      parseSmbios,
      parseIoports,
      parseIomem,
      parseIrq,
      parseLlcColors,
      card,
      (text) => parseCpus(text, HOST),
      (text) => new VnumaNode(2, 2).add(text),
      (text) => new CpuidPolicy().addFlags(text),
      (text) => new CpuidPolicy().addLine(text),
    ]
    const piece = fc.oneof(
      fc.constantFrom(
        ',',
        '=',
        ':',
        '@',
        ';',
        ' ',
        '-',
        '^',
        '.',
        '/',
        'x',
        '0',
        '7',
        'ff',
        '1:eax=',
        'host',
        'tag',
        'path',
        'type',
        'backend',
        'connectors=a:1x1',
        'mac',
        'rate',
        'pcm',
        'stream',
        'all',
        'node',
        'vcpus',
        'size',
        'policy',
        'strategy',
        'family',
        'name',
        'oem',
      ),
      fc.string(),
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (parts) => {
        const text = parts.join('')
        for (const parse of parsers) {
          const { value, faults, warnings } = parse(text)
          if (faults.length > 0 && value !== undefined) return false
          for (const { at, message } of [...faults, ...warnings])
            if (at < 0 || at > text.length || message === '') return false
        }
        return true
      }),
      { numRuns: 2000 },
    )
    t.pass()
  },
)
