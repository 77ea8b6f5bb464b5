import { Cause, Effect, Exit, Layer, Runtime } from "effect"
import { logFormatOf, readSettings, type Settings } from "./config.ts"
import { tellFatal } from "./log-line.ts"
import { standardOutput } from "./log-output.ts"

/** Started through npx, one signal arrives twice. What comes later than this is a second one. */
const SAME_SIGNAL_MS = 1_000
const EXIT_CUT_OFF = 130
/** For the last lines of the log, where its reader is slow. */
const DRAIN_MS_MAX = 1_000

/** The first signal drains; a second one ends the process, which is as safe as any crash. */
const runMain = Runtime.makeRunMain(({ fiber, teardown }) => {
  let firstAt: number | undefined
  const stop = () => {
    firstAt ??= performance.now()
    if (performance.now() - firstAt > SAME_SIGNAL_MS) process.exit(EXIT_CUT_OFF)
    fiber.interruptUnsafe()
  }
  process.on("SIGINT", stop).on("SIGTERM", stop).on("SIGHUP", stop)
  fiber.addObserver((exit) =>
    teardown(
      exit,
      (code) =>
        void standardOutput()
          .drained(DRAIN_MS_MAX)
          .then(() => process.exit(code))
    )
  )
})

/** Runs the service that the environment describes, until a signal or a failure ends it, and then the process. */
export const run = <E>(layerOf: (settings: Settings) => Layer.Layer<never, E>): void => {
  // What is written holds what calls were about, and is nobody else's.
  process.umask(0o077)
  const isTerminal = process.stdout.isTTY === true
  runMain(
    Effect.flatMap(readSettings(process.env, isTerminal), (settings) => Layer.launch(layerOf(settings))).pipe(
      Effect.tapCause((cause) =>
        Effect.suspend(() => {
          if (Cause.hasInterruptsOnly(cause)) return Effect.void
          const failure = Cause.squash(cause)
          // What can go wrong at the start has a message for people; anything else is a bug and shows where it is.
          const message = Cause.hasFails(cause) && failure instanceof Error ? failure.message : Cause.pretty(cause)
          return tellFatal(message, logFormatOf(process.env, isTerminal))
        })
      )
    ),
    {
      disableErrorReporting: true,
      teardown: (exit, done) =>
        Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? done(0) : Runtime.defaultTeardown(exit, done)
    }
  )
}
