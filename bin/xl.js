#!/usr/bin/env node
// Entry of `xt-xl`: xt as the `xl` that Ganeti, Pacemaker and people's scripts call. Link it as `xl` before the
// system's own on PATH. All that is said in run.js holds here.
await import('./run.js?as=xl')
