import { setDefaultTimeout } from "bun:test"

/** Far above what a test takes: it ends what hangs, and machines are busy at times. As in vitest.config.ts. */
setDefaultTimeout(240_000)
