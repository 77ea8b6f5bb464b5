import type { FieldError } from "@event-service-agent/api/problem"
import type { Whoami } from "@event-service-agent/api/representations"
import { formatSpan } from "@event-service-agent/schemas/format-span"
import { Effect, Option } from "effect"
import manifest from "../package.json" with { type: "json" }
import { Agent, callsOf } from "./agent.ts"
import { type Check, fail, ok, warn } from "./checks.ts"
import { type CommandFailed, EXIT } from "./failure.ts"

/** More than clocks that are set by the network differ. The Date header has whole seconds. */
const CLOCK_DIFFERENCE_MS_MAX = 2_000
const HALF_SECOND_MS = 500

/** As it travels. A later service may have parts and states that are not known here. */
interface Ready {
  readonly status: string
  readonly checks: Readonly<Record<string, string>>
  readonly detail?: string
}

/** Looks at the service from outside, as far as it answers. @param target an address that is to be called */
export const checkService = Effect.fn("Cli.checkService")(function* (target: Option.Option<string>) {
  const { ask, settings } = yield* Agent
  const startedAt = Date.now()
  const live = yield* Effect.result(ask("GET", "/health/live"))
  const tookMs = Date.now() - startedAt
  if (live._tag === "Failure") return [fail("service", live.failure.message)]
  const checks = [ok("service", `${settings.url} answers in ${formatSpan(tookMs)}`)]
  checks.push(checkClock(live.success.headers, startedAt, tookMs))
  checks.push(...(yield* checkReady))
  checks.push(yield* checkVersion)
  checks.push(yield* checkAccess)
  checks.push(yield* checkDeadLetters)
  if (Option.isSome(target)) checks.push(yield* checkTarget(target.value))
  return checks
})

const checkClock = (headers: Headers, startedAt: number, tookMs: number): Check => {
  const said = Date.parse(headers.get("date") ?? "")
  if (Number.isNaN(said)) return warn("clock", "the service does not tell its time")
  const difference = said + HALF_SECOND_MS - (startedAt + tookMs / 2)
  // The service told its time at some moment between question and answer.
  return Math.abs(difference) <= CLOCK_DIFFERENCE_MS_MAX + tookMs / 2
    ? ok("clock", "agrees with the service's, within 2 s")
    : warn(
        "clock",
        `the service's is ${formatSpan(Math.abs(difference))} ${difference > 0 ? "ahead" : "behind"}: --in counts on this one`
      )
}

const checkReady = Effect.gen(function* () {
  const { ask } = yield* Agent
  const { body } = yield* ask<Ready>("GET", "/health/ready")
  return [checkPart("ready", body.status, body.detail), ...checkParts(body.checks, body.detail)]
}).pipe(
  Effect.catch(({ message, problem }: CommandFailed) =>
    Effect.succeed([fail("ready", message), ...checkParts(problem?.checks ?? {}, problem?.detail)])
  )
)

const checkParts = (parts: Ready["checks"], detail: string | undefined): ReadonlyArray<Check> =>
  Object.entries(parts).map(([name, state]) => checkPart(name, state, detail))

const checkPart = (name: string, state: string, detail: string | undefined): Check => {
  if (state === "ok") return ok(name, state)
  return (state === "failed" ? fail : warn)(name, detail === undefined ? state : `${state}: ${detail}`)
}

const checkVersion = Effect.gen(function* () {
  const { ask } = yield* Agent
  const { body } = yield* ask<{ readonly info: { readonly version: string } }>("GET", "/openapi.json")
  const { version } = body.info
  return version === manifest.version
    ? ok("version", version)
    : warn("version", `the service has ${version}, this program is ${manifest.version}`)
}).pipe(Effect.catch((failed: CommandFailed) => Effect.succeed(warn("version", failed.message))))

const checkAccess = Effect.gen(function* () {
  const { ask, settings } = yield* Agent
  const { auth, tenantId, scopes } = (yield* ask<(typeof Whoami)["Encoded"]>("GET", "/api/whoami")).body
  yield* ask("GET", callsOf(settings), { query: new URLSearchParams({ limit: "1" }) })
  const of = tenantId === "*" ? "all tenants" : `tenant ${tenantId}`
  return ok("access", auth === "off" ? "everyone may do everything: AUTH is off" : `${scopes.join(", ")} for ${of}`)
}).pipe(Effect.catch((failed: CommandFailed) => Effect.succeed(fail("access", failed.message))))

const checkDeadLetters = Effect.gen(function* () {
  const { ask } = yield* Agent
  const query = new URLSearchParams({ limit: "100" })
  const { items } = (yield* ask<{ readonly items: ReadonlyArray<unknown> }>("GET", "/api/admin/dead-letters", {
    query
  })).body
  return items.length === 0
    ? ok("dead letters", "none")
    : warn("dead letters", `${items.length}${items.length === 100 ? " or more" : ""}: esa dead-letters list`)
}).pipe(Effect.catch((failed: CommandFailed) => Effect.succeed(warn("dead letters", failed.message))))

/** Asks with a submission that can never be accepted, since it has no name: the answer lists all that is wrong. */
const checkTarget = (target: string) =>
  Effect.gen(function* () {
    const { ask, settings } = yield* Agent
    const body = { requestSpec: { method: "GET", url: target } }
    const failed = yield* Effect.flip(ask("POST", callsOf(settings), { body }))
    const errors = errorsOf(failed)
    if (failed.exitCode !== EXIT.usage || errors === undefined) return fail("egress", failed.message)
    const refusal = errors.find(({ pointer }) => pointer.startsWith("#/requestSpec"))
    return refusal === undefined
      ? ok("egress", `${target} may be called; where its name leads to is judged at each call`)
      : fail("egress", refusal.detail)
  }).pipe(Effect.orElseSucceed(() => fail("egress", "the service accepted what nobody asked for")))

const errorsOf = ({ problem }: CommandFailed): ReadonlyArray<FieldError> | undefined => problem?.errors
