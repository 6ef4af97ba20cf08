/**
 * Runs a domain's bootloader on its first disk. What it writes goes to a directory of ours in the run directory, which
 * is gone when the files have been read (readGuestFiles) or something failed.
 */
import { spawn } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import type { DomainConfig } from '../config/schema.ts'
import { type BootloaderAnswer, bootloaderArguments, readBootloaderAnswer } from './boot/bootloader.ts'
import { errors } from './errors.ts'

/** Where Debian's Xen has its own programs; libxl looks into that directory before PATH. */
const XEN_PROGRAMS = '/usr/lib/xen-*/bin'
/** What is told of a bootloader that fails. */
const LAST_WORDS = 2000

/** Rejects with XT_BOOTLOADER_MISSING, XT_BOOTLOADER_DISK, XT_BOOTLOADER_FAILED. */
export async function withBootloader<T>(
  config: DomainConfig & { readonly bootloader: string },
  runDir: string,
  use: (answer: BootloaderAnswer) => Promise<T>,
): Promise<T> {
  const { bootloader: name, kernel, ramdisk, cmdline, bootloaderArgs: args } = config
  const program = findBootloader(name)
  const disk = diskOf(config)
  const directory = join(runDir, `bootloader.${process.pid}.d`)
  const output = join(directory, 'answer')
  await mkdir(directory, { mode: 0o700 })
  try {
    await writeFile(output, '')
    const request = { kernel, ramdisk, cmdline, args, disk, output, directory }
    await run(name, program, bootloaderArguments(program, request))
    const answer = readBootloaderAnswer(await readFile(output, 'utf8'))
    if (answer === undefined) throw errors.XT_BOOTLOADER_FAILED(name, disk, 'it named no kernel')
    return await use(answer)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function findBootloader(name: string): string {
  const directories = [...globSync(XEN_PROGRAMS), ...(process.env['PATH'] ?? '').split(delimiter)]
  const found = name.includes('/') ? [name] : directories.map((directory) => join(directory, name))
  const program = found.find((path) => existsSync(path))
  if (program === undefined) throw errors.XT_BOOTLOADER_MISSING(name)
  return program
}

function diskOf({ bootloader, disks: [first] }: DomainConfig): string {
  if (first?.target === undefined) throw errors.XT_BOOTLOADER_DISK(bootloader!, 'the guest has no disk')
  if (first.format === 'raw') return first.target
  throw errors.XT_BOOTLOADER_DISK(bootloader!, `the first disk, ${first.target}, has format=${first.format}`)
}

function run(name: string, program: string, words: readonly string[]): Promise<void> {
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-LAST_WORDS)
    })
  }
  return new Promise((settle, reject) => {
    const failed = (why: string) => reject(errors.XT_BOOTLOADER_FAILED(name, words.at(-1)!, why))
    child.once('error', (error) => failed(error.message))
    child.once('close', (code, signal) => {
      if (code === 0) settle()
      else failed(said.trim().split('\n').at(-1) || (signal ?? `exit status ${code}`))
    })
  })
}
