/** What can go wrong with a shared folder through the host's or the user's doing. */
import { defineErrors } from '../../base/errors.ts'

const share = (tag: string) => `share ${tag}`

export const p9Errors = defineErrors({
  XT_9PFS_FOLDER: {
    title: 'A folder that cannot be shared',
    message: (tag: string, path: string, reason: string) => `${share(tag)}: cannot share ${path}: ${reason}`,
    hint: 'path= names a folder of the host that this user may read. A relative one is taken from where xt create runs.',
  },
  XT_9PFS_UNSUPPORTED: {
    title: 'A setting of a shared folder that xt cannot follow',
    message: (tag: string, setting: string, _needed: string) =>
      `${share(tag)}: ${setting} cannot be followed yet`,
    hint: (_tag: string, _setting: string, needed: string) => `It would need ${needed}.`,
  },
  XT_9PFS_NODE: {
    title: 'A frontend published something unusable',
    message: (path: string, value: string) => `${path} holds ${JSON.stringify(value)}`,
  },
})
