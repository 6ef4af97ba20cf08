/** How a request is refused: with an error number of Linux, which is what 9P2000.L sends. */

export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  EBADF: 9,
  EACCES: 13,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EMFILE: 24,
  EROFS: 30,
  ENAMETOOLONG: 36,
  EOPNOTSUPP: 95,
  ESTALE: 116,
} as const

/** Node's errors of system calls have the same shape: the negative number of the host, which is Linux, too. */
export class Refusal extends Error {
  readonly errno: number

  constructor(name: keyof typeof ERRNO) {
    super(name)
    this.errno = -ERRNO[name]
  }
}
