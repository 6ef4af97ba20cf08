import t from 'tap'
import { bootloaderArguments, readBootloaderAnswer } from '../../../src/engine/boot/bootloader.ts'

const request = { cmdline: '', args: [], disk: '/d.img', output: '/run/answer', directory: '/run' }
const OUTPUT = ['--output=/run/answer', '--output-format=simple0', '--output-directory=/run']

t.test("arguments are libxl's, in its order; pygrub shows no menu", async (t) => {
  t.same(bootloaderArguments('/usr/bin/other', request), [...OUTPUT, '/d.img'])
  t.same(bootloaderArguments('pygrub', { ...request, args: ['--entry=1'] }), [
    ...OUTPUT,
    '--quiet',
    '--entry=1',
    '/d.img',
  ])
  const known = { kernel: '/vmlinuz', ramdisk: '/initrd.img', cmdline: 'root=/dev/xvda ro' }
  t.same(bootloaderArguments('/x/pygrub', { ...request, ...known }), [
    '--kernel=/vmlinuz',
    '--ramdisk=/initrd.img',
    '--args=root=/dev/xvda ro',
    ...OUTPUT,
    '--quiet',
    '/d.img',
  ])
})

t.test(
  'an answer has a kernel, perhaps a ramdisk and arguments, with NUL or line ends between',
  async (t) => {
    const whole = { kernel: '/run/k', ramdisk: '/run/r', cmdline: 'root=/dev/xvda ro' }
    t.same(readBootloaderAnswer('kernel /run/k\0ramdisk /run/r\0args root=/dev/xvda ro\0'), whole)
    t.same(readBootloaderAnswer('kernel /run/k\nramdisk /run/r\nargs root=/dev/xvda ro\n'), whole)
    t.same(readBootloaderAnswer('kernel /run/k\0'), { kernel: '/run/k', cmdline: '' })
    t.same(readBootloaderAnswer('noise\0kernel /run/k\0args \0'), { kernel: '/run/k', cmdline: '' })
    for (const text of ['', 'ramdisk /run/r\0', 'kernel \0']) t.equal(readBootloaderAnswer(text), undefined)
  },
)
