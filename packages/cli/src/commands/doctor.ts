import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { Agent, withAgent } from "../agent.ts"
import { checkDatabase } from "../check-database.ts"
import { checkService } from "../check-service.ts"
import type { Check } from "../checks.ts"
import { CommandFailed, EXIT } from "../failure.ts"
import { type Colour, note, paint, print, visible } from "../output.ts"

export const doctor = Command.make(
  "doctor",
  {
    target: Flag.String("target").pipe(
      Flag.withMetavar("<url>"),
      Flag.withDescription("Also: may this address be called? Nothing is sent there"),
      Flag.optional
    ),
    db: Flag.String("db").pipe(
      Flag.withMetavar("<file>"),
      Flag.withDescription("Also look at the database itself, which has to be on this machine"),
      Flag.optional
    )
  },
  Effect.fn("Cli.doctor")(function* ({ target, db }) {
    const { settings } = yield* Agent
    const checks: ReadonlyArray<Check> = [
      ...(yield* checkService(target)),
      ...(Option.isSome(db) ? checkDatabase(db.value) : [])
    ]
    for (const check of checks) yield* print(settings.isJson ? JSON.stringify(check) : inOneLine(check))
    const failed = checks.filter(({ result }) => result === "fail")
    if (failed.length > 0) {
      // Whether it answers at all is looked at first.
      const isAway = checks[0]?.result === "fail"
      return yield* new CommandFailed({
        exitCode: isAway ? EXIT.unreachable : EXIT.failed,
        message: `${failed.length} of ${checks.length} checks failed`
      })
    }
    if (settings.isJson) return
    const warnings = checks.filter(({ result }) => result === "warn").length
    yield* note(
      warnings === 0 ? "nothing is in the way of calls" : `no check failed, ${warnings} of ${checks.length} warn`
    )
  })
).pipe(
  Command.withDescription("Check the service: reachable, ready, bus, clock, version, access, dead letters"),
  Command.withExamples([
    { command: "esa doctor", description: "All that can be seen from outside" },
    { command: "esa doctor --target http://10.0.0.7/hook --db data/event_service.db", description: "Everything" }
  ]),
  withAgent
)

const COLOURS: Readonly<Record<Check["result"], Colour>> = { ok: "green", warn: "yellow", fail: "red" }

const inOneLine = ({ check, result, detail }: Check): string =>
  `${paint(COLOURS[result], result.padEnd(4))}  ${check.padEnd(12)}  ${visible(detail)}`
