/** What can go wrong while the demo's kernel and ramdisk are fetched and made. */
import { defineErrors } from '../../src/base/errors.ts'

const PROVIDE =
  "Provide two files: a Linux kernel with PVH entry (Debian's /boot/vmlinuz-*-amd64) and a static x86-64 busybox. " +
  'Say where they are with XT_ASSET_VMLINUZ=FILE and XT_ASSET_BUSYBOX=FILE.'

export const assetErrors = defineErrors({
  XT_ASSET_NO_APT: {
    title: 'The machine has no apt to fetch Debian packages with',
    message: (what: string, program: string) => `cannot fetch ${what}: this machine has no ${program}`,
    hint: PROVIDE,
  },
  XT_ASSET_NO_PACKAGE: {
    title: 'apt knows no such package',
    message: (names: string) => `apt knows no package ${names}, also after an update of its lists`,
    hint: `Check the network and apt's sources (they should name Debian's main archive). ${PROVIDE}`,
  },
  XT_ASSET_DOWNLOAD_FAILED: {
    title: 'A package could not be downloaded',
    message: (name: string, reason: string) => `apt could not download ${name}: ${reason}`,
    hint: `Check the network and run the same command again. ${PROVIDE}`,
  },
  XT_ASSET_UNPACK_FAILED: {
    title: 'A package could not be unpacked',
    message: (file: string, reason: string) => `${file} cannot be unpacked: ${reason}`,
    hint: 'Delete the file and run the same command again.',
  },
  XT_ASSET_NOT_READABLE: {
    title: 'A file given by an environment variable cannot be read',
    message: (variable: string, file: string, reason: string) =>
      `${variable} names ${file}, which cannot be read: ${reason}`,
  },
})
