/**
 * Public kit for tests of backends (package export `xt/testkit`): a Xen in memory, frontends that speak the real
 * rings, the contract that every backend keeps, and a hostile guest.
 */

export { backendContract, type ContractTest } from './contract.ts'
export { type BlockScriptOptions, blockScript } from './frontends/block.ts'
export { type ConsoleScriptOptions, consoleScript } from './frontends/console.ts'
export type { FrontendScript, Pending, ScriptedFrontend } from './frontends/frontend.ts'
export { type NetScriptOptions, netScript } from './frontends/net.ts'
export { FuzzError, type FuzzOptions, type FuzzProgress, fuzzBackend } from './fuzz.ts'
export { GuestDevice } from './guest-device.ts'
export { type JudgeOptions, MemoryHost, type MemoryHostOptions } from './memory-host.ts'
export { MemoryStore, MemoryStoreClient } from './memory-store.ts'
export { buildGuest, type GuestBuilder, type MicroGuest, microGuest } from './micro-guests/guest.ts'
export { Random } from './random.ts'
export { type GrantEntry, ScriptedGuest } from './scripted-guest.ts'
export { addDevice, type BackendUnderTest, type MakeBackend } from './under-test.ts'
export { turns, until } from './wait.ts'
