#!/usr/bin/env bun
import { Effect, Exit } from "effect"
import { root } from "./root.ts"
import { endOf, run } from "./run.ts"

const exit = await Effect.runPromiseExit(run(root, process.argv.slice(2)))
process.exit(Exit.isSuccess(exit) ? 0 : endOf(exit.cause))
