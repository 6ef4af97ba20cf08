/** What can go wrong while a disk image is made. */
import { defineErrors } from '../../src/base/errors.ts'

export const imageErrors = defineErrors({
  XT_IMAGE_NO_PROGRAM: {
    title: 'A program that makes images is not installed',
    message: (program: string, what: string, _packages: string) =>
      `${what} needs ${program}, which is not here`,
    hint: (_program: string, _what: string, packages: string) => `Debian: apt install ${packages}`,
  },
  XT_IMAGE_FAILED: {
    title: 'A step of making an image failed',
    message: (step: string, reason: string) => `${step} failed: ${reason}`,
    hint: 'Nothing was left behind. The lines above say what the program was doing.',
  },
  XT_IMAGE_EXISTS: {
    title: 'The image is there already',
    message: (path: string) => `${path} exists`,
    hint: 'Give --force to have it replaced.',
  },
  XT_IMAGE_INPUT: {
    title: 'Something given for an image cannot be used',
    message: (what: string, reason: string) => `${what}: ${reason}`,
  },
})
