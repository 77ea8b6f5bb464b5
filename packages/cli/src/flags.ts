import { Option } from "effect"
import { Argument, Flag } from "effect/cli"
import { DURATION_HINT, MOMENT_HINT, parseDuration, parseMoment } from "./times.ts"

/** States of a call. */
export const STATUSES = ["Submitted", "Scheduled", "Running", "Succeeded", "Failed", "Cancelled"] as const
/** Seconds that the service waits at most. */
const WAIT_S_MAX = 60
const DATABASE_DEFAULT = "data/event_service.db"

/** A point in time, RFC 3339 in UTC. */
export const moment = (name: string): Flag.Flag<string> =>
  Flag.String(name).pipe(
    Flag.withMetavar("<time>"),
    Flag.filterMap(
      (text) => Option.map(parseMoment(text, new Date()), (at) => at.toISOString()),
      () => MOMENT_HINT
    )
  )

/** Milliseconds. */
export const duration = (name: string): Flag.Flag<number> =>
  Flag.String(name).pipe(
    Flag.withMetavar("<duration>"),
    Flag.filterMap(parseDuration, () => DURATION_HINT)
  )

/** Any of the states, in any case. */
export const statuses = Flag.String("status").pipe(
  Flag.withMetavar("<status>"),
  Flag.withDescription(`Only these; may repeat: ${STATUSES.join(", ")}`),
  Flag.filterMap(
    (text) => Option.fromUndefinedOr(STATUSES.find((status) => status.toLowerCase() === text.toLowerCase())),
    () => STATUSES.join(", ")
  ),
  Flag.atLeast(0)
)

export const tags = Flag.String("tag").pipe(
  Flag.withMetavar("<tag>"),
  Flag.withDescription("May repeat: all of them"),
  Flag.atLeast(0)
)

/** When to perform the request; absent: now. */
export const due = {
  at: moment("at").pipe(Flag.withDescription("When, in local time or with an offset"), Flag.optional),
  in: duration("in").pipe(Flag.withDescription("In how long: 45s, 5m, 2h30m"), Flag.optional)
}

/** Seconds to wait for the outcome. */
export const wait = Flag.Int("wait").pipe(
  Flag.withMetavar("<seconds>"),
  Flag.withOptionalValue(String(WAIT_S_MAX)),
  Flag.filter(
    (seconds) => seconds >= 1 && seconds <= WAIT_S_MAX,
    () => `1 to ${WAIT_S_MAX} seconds`
  ),
  Flag.withDescription(`Wait for the outcome, up to ${WAIT_S_MAX} seconds, and show it`),
  Flag.optional
)

export const callId = Argument.String("id").pipe(
  Argument.withDescription(
    "Id of the call; its beginning or its end, which the page shows, is enough where no other of the latest 100 has it"
  )
)

/** Where the service has its database. */
export const databasePath = Flag.String("db").pipe(
  Flag.withMetavar("<file>"),
  Flag.withDescription(`The database (DB_PATH; ${DATABASE_DEFAULT})`),
  Flag.optional,
  Flag.map(Option.getOrElse(() => process.env["DB_PATH"] || DATABASE_DEFAULT))
)
