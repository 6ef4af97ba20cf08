/** Assembles the guest of examples/hello.cfg into dist/hello.elf, or where the first argument says. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { buildHello } from '../src/testkit/micro-guests/hello.ts'

const file = process.argv[2] ?? join(import.meta.dirname, '../dist/hello.elf')
mkdirSync(dirname(file), { recursive: true })
writeFileSync(file, buildHello())
console.log(file)
