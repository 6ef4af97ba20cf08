/**
 * A NoCloud seed: an ISO with the files from which cloud-init configures a stock image at its first boot (volume id
 * CIDATA, files user-data and meta-data). The guest finds it on any disk.
 */
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { imageErrors } from './errors.ts'
import { mustHave, run } from './run.ts'

export interface SeedOptions {
  readonly out: string
  readonly hostname: string
  readonly user: string
  /** Lines of public keys. */
  readonly sshKeys: readonly string[]
  readonly password: string | undefined
  /** A user-data file of one's own, instead of all the others. */
  readonly userData: string | undefined
  /** What makes cloud-init do its work again. */
  readonly instanceId: string
}

/** The two files. YAML is written as JSON, which it contains, so that nothing given can change its structure. */
export function seedFiles(options: Omit<SeedOptions, 'out' | 'userData'>): {
  readonly userData: string
  readonly metaData: string
} {
  const { hostname, user, sshKeys, password, instanceId } = options
  const account = {
    name: user,
    shell: '/bin/bash',
    sudo: 'ALL=(ALL) NOPASSWD:ALL',
    ...(sshKeys.length === 0 ? {} : { ssh_authorized_keys: sshKeys }),
    ...(password === undefined ? {} : { plain_text_passwd: password, lock_passwd: false }),
  }
  // One kind of host key: an RSA key takes a software processor a minute to find.
  const ssh = { ssh_pwauth: false, ssh_genkeytypes: ['ed25519'] }
  const config = { hostname, preserve_hostname: false, users: [account], ...ssh }
  return {
    userData: `#cloud-config\n${JSON.stringify(config, null, 2)}\n`,
    metaData: `${JSON.stringify({ 'instance-id': instanceId, 'local-hostname': hostname }, null, 2)}\n`,
  }
}

/** @throws XtError of imageErrors */
export async function makeSeed(options: SeedOptions): Promise<void> {
  mustHave('xorriso', 'making a cloud-init seed', 'xorriso')
  const { out } = options
  if (options.userData === undefined && options.sshKeys.length === 0 && options.password === undefined)
    throw imageErrors.XT_IMAGE_INPUT('seed', 'nobody could log in: give --ssh-key or --password')
  const files = seedFiles(options)
  const userData = options.userData === undefined ? files.userData : await readFile(options.userData, 'utf8')
  const work = await mkdtemp(join(tmpdir(), 'xt-seed-'))
  const image = join(dirname(resolve(out)), `.${process.pid}.seed.unfinished`)
  try {
    await writeFile(join(work, 'user-data'), userData)
    await writeFile(join(work, 'meta-data'), files.metaData)
    const words = ['-as', 'genisoimage', '-quiet', '-o', image, '-V', 'CIDATA', '-J', '-r', '-graft-points']
    const grafts = ['user-data', 'meta-data'].map((name) => `${name}=${join(work, name)}`)
    await run('xorriso', [...words, ...grafts], { step: 'xorriso' })
    await rename(image, out)
  } finally {
    await rm(work, { recursive: true, force: true })
    await rm(image, { force: true })
  }
}
