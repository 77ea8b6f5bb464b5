import { Cause, Effect, Exit, Layer, Runtime } from "effect"
import { readSettings, type Settings } from "./config.ts"

/** Started through npx, one signal arrives twice. What comes later than this is a second one. */
const SAME_SIGNAL_MS = 1_000
const EXIT_CUT_OFF = 130

/** The first signal drains; a second one ends the process, which is as safe as any crash. */
const runMain = Runtime.makeRunMain(({ fiber, teardown }) => {
  let firstAt: number | undefined
  const stop = () => {
    firstAt ??= performance.now()
    if (performance.now() - firstAt > SAME_SIGNAL_MS) process.exit(EXIT_CUT_OFF)
    fiber.interruptUnsafe()
  }
  process.on("SIGINT", stop).on("SIGTERM", stop).on("SIGHUP", stop)
  fiber.addObserver((exit) => teardown(exit, (code) => process.exit(code)))
})

/** Runs the service that the environment describes, until a signal or a failure ends it, and then the process. */
export const run = <E>(layerOf: (settings: Settings) => Layer.Layer<never, E>): void => {
  // What is written holds what calls were about, and is nobody else's.
  process.umask(0o077)
  runMain(
    Effect.flatMap(readSettings(process.env, process.stdout.isTTY === true), (settings) =>
      Layer.launch(layerOf(settings))
    ).pipe(
      Effect.tapCause((cause) =>
        Effect.sync(() => {
          if (Cause.hasInterruptsOnly(cause)) return
          const failure = Cause.squash(cause)
          // What can go wrong at the start has a message for people; anything else is a bug and shows where it is.
          console.error(Cause.hasFails(cause) && failure instanceof Error ? failure.message : Cause.pretty(cause))
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
