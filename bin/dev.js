#!/usr/bin/env -S node_modules/.bin/node
// Entry for work on xt itself: runs from src, without a build or a manifest. Needs Node 24 (npm run dev uses the
// one that the checkout carries).
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { main } from '../src/cli/main.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
process.exitCode = await main(process.argv.slice(2), { root, fromSource: true })
