import { Cause, Effect, Exit, Layer, Runtime } from "effect"
import { readSettings } from "./config.ts"
import { layer } from "./layers.ts"

/** Interrupting is idempotent: started through npx, the same signal arrives twice. */
const runMain = Runtime.makeRunMain(({ fiber, teardown }) => {
  const stop = () => fiber.interruptUnsafe()
  process.on("SIGINT", stop).on("SIGTERM", stop)
  fiber.addObserver((exit) => teardown(exit, (code) => process.exit(code)))
})

runMain(
  Effect.flatMap(readSettings(process.env, process.stdout.isTTY === true), (settings) =>
    Layer.launch(layer(settings))
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
