import { defineConfig } from "vitest/config"

/** The second runner: `bun --bun vitest run --pool threads`. The first is `bun test`. */
export default defineConfig({
  test: { include: ["packages/*/test/**/*.test.ts"], testTimeout: 240_000, hookTimeout: 240_000 }
})
