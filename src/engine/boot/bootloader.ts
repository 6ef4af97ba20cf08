/**
 * Bootloaders as libxl runs them (`bootloader=`): programs of the host that take kernel, ramdisk and command line out of
 * the guest's first disk. Here are their arguments and what they answer; run-bootloader.ts starts them. Pure.
 */

export interface BootloaderRequest {
  /** Paths inside the disk, for those who know better than its menu. */
  readonly kernel?: string | undefined
  readonly ramdisk?: string | undefined
  readonly cmdline: string
  /** bootloader_args. */
  readonly args: readonly string[]
  readonly disk: string
  /** Where the answer and the files are to go. */
  readonly output: string
  readonly directory: string
}

/** What it chose: files of the host, and the whole command line. */
export interface BootloaderAnswer {
  readonly kernel: string
  readonly ramdisk?: string
  readonly cmdline: string
}

/**
 * Arguments in libxl's order. XEN: pygrub is told not to show its menu: nobody is there to see it while a guest is made.
 */
export function bootloaderArguments(program: string, request: BootloaderRequest): readonly string[] {
  const { kernel, ramdisk, cmdline, args, disk, output, directory } = request
  const given = (option: string, value: string | undefined) =>
    value === undefined || value === '' ? [] : [`--${option}=${value}`]
  return [
    ...given('kernel', kernel),
    ...given('ramdisk', ramdisk),
    ...given('args', cmdline),
    `--output=${output}`,
    '--output-format=simple0',
    `--output-directory=${directory}`,
    ...(/(^|\/)pygrub$/.test(program) ? ['--quiet'] : []),
    ...args,
    disk,
  ]
}

/** Reads `kernel PATH`, `ramdisk PATH`, `args WORDS`, with NUL or a line end between; undefined without a kernel. */
export function readBootloaderAnswer(text: string): BootloaderAnswer | undefined {
  const lines = text.split(/[\0\n]/)
  const value = (key: string) => {
    const line = lines.find((each) => each.startsWith(`${key} `))
    return line?.slice(key.length + 1).trim()
  }
  const [kernel, ramdisk] = [value('kernel'), value('ramdisk')]
  if (kernel === undefined || kernel === '') return undefined
  const cmdline = value('args') ?? ''
  return { kernel, ...(ramdisk === undefined || ramdisk === '' ? {} : { ramdisk }), cmdline }
}
