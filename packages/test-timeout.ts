import { setDefaultTimeout } from "bun:test"

/**
 * Far above what a test takes: it ends what hangs, and machines are busy at times. As in vitest.config.ts.
 *
 * Bun forgets it after the first file of a run that shares one global (oven-sh/bun#43787): run several files with
 * `bun run test <files>`, as the gate does, or with `--isolate`.
 */
setDefaultTimeout(240_000)
