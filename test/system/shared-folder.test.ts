/** A Debian guest with folders of the host: what either side makes is what the other finds. */
import { createHash } from 'node:crypto'
import {
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { debianKernel, debianModules } from '../../scripts/assets/fetch-debian-kernel.ts'
import { initramfs, runArgument } from '../../scripts/assets/make-initramfs.ts'
import { finished } from '../commands/fake-domain.ts'
import { debianArguments, GuestLab, isCached } from './guest.ts'

t.setTimeout(600_000)

/** Each after those it needs. The cloud kernel has none of them. */
const MODULES = ['netfs', 'fscache', '9pnet', '9pnet_xen', '9p']
const BIG_BYTES = 100 << 20

async function filesOf() {
  if (!isCached('generic')) return "Debian's generic kernel was not fetched: fetch-debian-kernel.ts generic"
  try {
    const { vmlinuz } = await debianKernel({ flavour: 'generic' })
    const modules = await debianModules(MODULES, { flavour: 'generic' })
    return { vmlinuz, ramdisk: await initramfs({ modules }) }
  } catch (error) {
    return (error as Error).message
  }
}
const files = await filesOf()
const skip = typeof files === 'string' ? files : false

/** Run by the guest, out of the folder that it is about. */
const SCRIPT = `
cd /mnt
dd if=big of=copy bs=1M conv=fsync 2>/dev/null; echo "copy $?"
mkdir small; for n in $(seq 1 500); do echo $n >small/$n; done
cat small/* | sort -n | md5sum
ls small | wc -l
mv small/1 first; mv small/2 first; ln first second; ln -s small/3 third; cat first third
echo more >>first; chmod 750 second; truncate -s 3 small/4
rm small/5; mkdir -p a/b/c; rmdir small 2>/dev/null || echo "not empty"; mv a/b moved; rmdir a
cat absolute; ls -l /mnt/absolute | grep -c ' -> /etc/shared-secret'
cat nowhere/../absolute 2>/dev/null || echo "no way"
touch /ro/new; cat /ro/file; rm /ro/file; dd if=/dev/zero of=/ro/file 2>/dev/null || echo "ro kept"
grep -i 9pfs /proc/interrupts | awk '{ print "ring", ($2 > 0) }'
mount | grep -c trans=xen
`

t.test(
  'files, links and directories, 100 MB and hundreds of small ones, go both ways; read-only is read-only',
  { skip },
  async (t) => {
    const rw = t.testdir({ rw: { script: SCRIPT }, ro: { file: 'read me\n' } })
    const [shared, readOnly] = [join(rw, 'rw'), join(rw, 'ro')]
    const big = Buffer.alloc(BIG_BYTES, 'a row of bytes that is not a power of two long; ')
    writeFileSync(join(shared, 'big'), big)
    symlinkSync('/etc/shared-secret', join(shared, 'absolute'))
    const start = [
      'mkdir /mnt /ro; echo "of the guest" >/etc/shared-secret',
      'mount -t 9p -o trans=xen,version=9p2000.L,msize=262144 data /mnt',
      'mount -t 9p -o trans=xen,version=9p2000.L only /ro',
      'sh /mnt/script; cd /; umount /mnt /ro; echo "umount $?"',
    ].join('\n')
    const shares = [
      `tag=data,security_model=none,path=${shared}`,
      `tag=only,security_model=none,readonly=1,path=${readOnly}`,
    ]
    const lab = new GuestLab(t)
    const extra = `console=hvc0 quiet ${runArgument(start)}`
    const settings = { memory: 512, extra }
    const words = typeof files === 'string' ? [] : debianArguments(files, settings)
    const child = lab.start(...words, `p9=${JSON.stringify(shares)}`, '-F', '-c')
    const { status, stdout, stderr } = await finished(child)
    t.equal(status, 0, stderr)
    t.notMatch(stdout, /BUG:|Call Trace|9pnet: .*error/)

    const lines = stdout.split('\r\n')
    const numbers = Array.from({ length: 500 }, (_, n) => `${n + 1}\n`).join('')
    for (const line of [
      'copy 0',
      '500',
      'not empty',
      'of the guest',
      'no way',
      'read me',
      'ro kept',
      'umount 0',
    ])
      t.ok(lines.includes(line), `the guest printed: ${line}`)
    t.ok(lines.includes(`${createHash('md5').update(numbers).digest('hex')}  -`))
    t.match(stdout, /2\r\n3\r\n/)
    t.match(stdout, /touch: \/ro\/new: Read-only file system/)
    t.match(stdout, /can't remove '\/ro\/file': Read-only file system|rm: .*Read-only/)
    t.equal(
      lines.filter((line) => line === 'ring 1').length,
      4,
      'each of the two shares used both of its rings',
    )

    t.equal(Buffer.compare(readFileSync(join(shared, 'copy')), big), 0, 'the host has what the guest wrote')
    t.equal(readFileSync(join(shared, 'first'), 'utf8'), '2\nmore\n')
    t.equal(statSync(join(shared, 'first')).mode & 0o777, 0o750)
    t.equal(statSync(join(shared, 'first')).ino, statSync(join(shared, 'second')).ino)
    t.equal(readlinkSync(join(shared, 'third')), 'small/3')
    t.equal(statSync(join(shared, 'small', '4')).size, 3)
    t.equal(readdirSync(join(shared, 'small')).length, 497)
    t.ok(lstatSync(join(shared, 'moved', 'c')).isDirectory())
    t.same(readdirSync(readOnly), ['file'])
    t.equal(readFileSync(join(readOnly, 'file'), 'utf8'), 'read me\n')
    t.same(await lab.leftovers(), [])
  },
)
