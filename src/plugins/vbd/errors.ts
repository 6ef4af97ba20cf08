/** What can go wrong with a disk through the host's or the user's doing. */
import { defineErrors } from '../../base/errors.ts'

const disk = (vdev: string) => `disk ${vdev}`

export const vbdErrors = defineErrors({
  XT_VBD_TARGET: {
    title: 'A target of a disk that cannot be understood',
    message: (vdev: string, target: string, why: string) => `${disk(vdev)}: ${target}: ${why}`,
  },
  XT_VBD_NO_DAEMON: {
    title: 'A program that an image needs is not installed',
    message: (vdev: string, target: string, _needed: string) =>
      `${disk(vdev)}: ${target} is no raw file, and what serves it is not installed`,
    hint: (_vdev: string, _target: string, needed: string) =>
      `Debian has it in the package ${needed}. Or make a raw file of the image: qemu-img convert -O raw.`,
  },
  XT_VBD_NO_FUSE: {
    title: 'The host has no FUSE, by which images other than raw ones are served',
    message: (vdev: string, target: string) =>
      `${disk(vdev)}: ${target} is no raw file, and /dev/fuse, through which it would be served, does not exist`,
    hint: 'modprobe fuse. Or make a raw file of the image: qemu-img convert -O raw.',
  },
  XT_VBD_DAEMON: {
    title: 'An image that qemu-storage-daemon does not open',
    message: (vdev: string, target: string, why: string) => `${disk(vdev)}: cannot use ${target}: ${why}`,
  },
  XT_VBD_LOCKED: {
    title: 'The image of a disk is in use',
    message: (vdev: string, target: string, holder: string) =>
      `${disk(vdev)}: ${target} is in use by ${holder}`,
    hint: 'Two writers destroy an image. With access=ro several may read it.',
  },
  XT_VBD_SCRIPT: {
    title: 'A hotplug script failed',
    message: (vdev: string, script: string, why: string) => `${disk(vdev)}: ${script} failed: ${why}`,
  },
  XT_VBD_NO_TARGET: {
    title: 'A disk without a file or device',
    message: (vdev: string) => `${disk(vdev)}: there is no target, and only a CD drive can be empty`,
    hint: 'Name a file or device as target=.',
  },
  XT_VBD_NO_DRIVE: {
    title: 'A disc for something that is no CD drive',
    message: (vdev: string) => `${disk(vdev)}: is no CD drive`,
  },
  XT_VBD_UNSUPPORTED: {
    title: 'A disk setting that xt cannot follow',
    message: (vdev: string, setting: string, _needed: string) =>
      `${disk(vdev)}: ${setting} cannot be followed yet`,
    hint: (_vdev: string, _setting: string, needed: string) => `It would need ${needed}.`,
  },
  XT_VBD_MISSING: {
    title: 'The file of a disk does not exist',
    message: (vdev: string, target: string) => `${disk(vdev)}: ${target} does not exist`,
    hint: 'A relative path is taken from the directory in which xt create runs. truncate -s 1G FILE makes an empty disk.',
  },
  XT_VBD_DENIED: {
    title: 'The file of a disk may not be opened',
    message: (vdev: string, target: string, access: 'read' | 'written') =>
      `${disk(vdev)}: ${target} may not be ${access} by this user`,
    hint: (_vdev: string, _target: string, access: 'read' | 'written') =>
      access === 'written' ? 'A disk that is only read is given with access=ro.' : 'Look at its permissions.',
  },
  XT_VBD_NO_DISK: {
    title: 'Something that cannot be a disk',
    message: (vdev: string, target: string, what: string) => `${disk(vdev)}: ${target} is ${what}`,
    hint: 'A disk is a file or a block device. A folder can become an image: mke2fs -t ext4 -d FOLDER FILE 1G.',
  },
  XT_VBD_UNUSABLE: {
    title: 'The file of a disk cannot be used',
    message: (vdev: string, target: string, reason: string) =>
      `${disk(vdev)}: cannot use ${target}: ${reason}`,
  },
  XT_VBD_NODE: {
    title: 'A frontend published something unusable',
    message: (path: string, value: string) => `${path} holds ${JSON.stringify(value)}`,
  },
})
