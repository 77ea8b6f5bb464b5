import type { Whoami } from "@event-service-agent/api/representations"
import { Context, Effect, Option, Redacted } from "effect"
import { Command } from "effect/cli"
import { CommandFailed, EXIT } from "./failure.ts"
import { note, paintNote, visible } from "./output.ts"
import { CALL_NOT_FOUND, failureOf } from "./problem.ts"
import { parseTenant, readSettings, type Settings } from "./settings.ts"

/** In place of a tenant. */
export const ALL_TENANTS = "*"
const ANSWER_MS_MAX = 30_000
const WITHOUT_TLS = "the key goes over the network as plain text: use https"

export interface Ask {
  readonly query?: URLSearchParams
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
  /** Milliseconds the service may take longer than usual, since it was asked to wait. */
  readonly patienceMs?: number
}

export interface Answer<A> {
  readonly status: number
  readonly headers: Headers
  readonly body: A
}

/** The service, over HTTP. Failures carry the exit code: unreachable, not found, … */
export class Agent extends Context.Service<
  Agent,
  {
    readonly settings: Settings
    /**
     * Asks once, and never again by itself. Takes the body for what the contract says it is: `A` is the encoded type of
     * the answer there.
     */
    readonly ask: <A>(method: string, path: string, ask?: Ask) => Effect.Effect<Answer<A>, CommandFailed>
    /** Begins an answer that goes on; the caller reads it and gives it up through the signal. */
    readonly follow: (
      path: string,
      headers: Readonly<Record<string, string>>,
      signal: AbortSignal
    ) => Effect.Effect<Response, CommandFailed>
    /** Says the next useful command, unless a program reads. */
    readonly next: (command: string) => Effect.Effect<void>
  }
>()("@event-service-agent/cli/Agent") {}

/** Gives a command the service. */
export const withAgent = <const Name extends string, Input, E, R, C>(command: Command.Command<Name, Input, C, E, R>) =>
  Command.provideEffect(command, Agent, makeAgent(parseTenant))

/** The same for a command to which all tenants are one, too: `*`. */
export const withAgentOfAll = <const Name extends string, Input, E, R, C>(
  command: Command.Command<Name, Input, C, E, R>
) =>
  Command.provideEffect(
    command,
    Agent,
    makeAgent((text) => (text === ALL_TENANTS ? text : parseTenant(text)))
  )

/** The address of the tenant's calls, and of what is below it. */
export const callsOf = ({ tenant }: Settings, ...rest: ReadonlyArray<string>): string =>
  ["/api/tenants", tenant, "service-calls", ...rest.map(encodeURIComponent)].join("/")

const makeAgent = Effect.fnUntraced(function* (parse: typeof parseTenant) {
  const given = yield* readSettings(parse)
  const { url, key } = given
  if (key !== undefined && isReadableOnTheWay(url)) yield* note(`${paintNote("yellow", "warning")}: ${WITHOUT_TLS}`)
  const authorization = key === undefined ? {} : { authorization: `Bearer ${Redacted.value(key)}` }

  const send = (path: string, init: RequestInit, signal: AbortSignal) =>
    Effect.tryPromise({
      // No connection is kept: on one that was kept, Bun sends some requests a second time. Redirects would get the key.
      try: () => fetch(`${url}${path}`, { ...init, redirect: "manual", keepalive: false, signal }),
      catch: (cause) => unreachable(url, cause)
    })
  /** The tenant of the key; none when it is for all of them, which is `*`, or when that cannot be learnt. */
  const tenantOfKey = Effect.gen(function* () {
    if (key === undefined) return Option.none<string>()
    const init = { headers: { accept: "application/json", ...authorization } }
    const response = yield* send("/api/whoami", init, AbortSignal.timeout(ANSWER_MS_MAX))
    const whoami = Option.liftThrowable((text: string): Partial<(typeof Whoami)["Encoded"]> | null => JSON.parse(text))
    return whoami(yield* readText(url, response)).pipe(
      Option.flatMapNullishOr((answer) => answer?.tenantId),
      Option.filter((tenant) => response.ok && parseTenant(tenant) !== undefined)
    )
  }).pipe(Effect.orElseSucceed(() => Option.none<string>()))

  // Where that fails, the answer to what was asked for says why.
  const ownTenant = given.isTenantGiven ? Option.none<string>() : yield* tenantOfKey
  const settings: Settings = { ...given, tenant: Option.getOrElse(ownTenant, () => given.tenant) }

  const refuse = Effect.fnUntraced(function* (response: Response) {
    const failed = failureOf(url, response, yield* readText(url, response))
    // For a key, the calls of other tenants are not there.
    const isNowhere = given.isTenantGiven && failed.problem?.type === CALL_NOT_FOUND
    const tenant = isNowhere ? Option.getOrUndefined(yield* tenantOfKey) : undefined
    if (tenant === undefined || tenant === settings.tenant) return yield* failed
    const { exitCode, message, details = [], problem } = failed
    const why = `${message}: the key is for tenant ${tenant}, not for ${settings.tenant}`
    return yield* new CommandFailed({ exitCode, message: why, details, problem })
  })

  return Agent.of({
    settings,
    ask: <A>(method: string, path: string, { query, headers, body, patienceMs = 0 }: Ask = {}) =>
      Effect.gen(function* () {
        const sent = body === undefined ? {} : { body: JSON.stringify(body) }
        const type = body === undefined ? {} : { "content-type": "application/json" }
        const search = query === undefined || query.size === 0 ? "" : `?${query}`
        const response = yield* send(
          path + search,
          { method, headers: { accept: "application/json", ...type, ...authorization, ...headers }, ...sent },
          AbortSignal.timeout(ANSWER_MS_MAX + patienceMs)
        )
        if (!response.ok) return yield* refuse(response)
        const text = yield* readText(url, response)
        const answer = yield* Effect.try({
          try: (): A => JSON.parse(text === "" ? "null" : text),
          catch: () => failureOf(url, response, text)
        })
        return { status: response.status, headers: response.headers, body: answer }
      }),
    follow: (path, headers, signal) =>
      Effect.gen(function* () {
        const headersOfStream = { accept: "text/event-stream", ...authorization, ...headers }
        const response = yield* send(path, { headers: headersOfStream }, signal).pipe(
          Effect.timeoutOrElse({
            duration: ANSWER_MS_MAX,
            orElse: () => Effect.fail(unreachable(url, new Error("it does not answer")))
          })
        )
        const isStream = (response.headers.get("content-type") ?? "").startsWith("text/event-stream")
        return response.ok && isStream ? response : yield* refuse(response)
      }),
    next: (command) => (settings.isJson ? Effect.void : note(paintNote("dim", `→ ${spell(settings, command)}`)))
  })
})

/** The command as it has to be typed to reach the same service and tenant. */
export const spell = ({ spelled }: Pick<Settings, "spelled">, command: string): string =>
  ["esa", spelled, command].filter((part) => part !== "").join(" ")

const isReadableOnTheWay = (url: string): boolean =>
  /^http:/.test(url) && !/^(localhost|127\.[\d.]+|\[::1\])$/.test(new URL(url).hostname)

const readText = (url: string, response: Response) =>
  Effect.tryPromise({ try: () => response.text(), catch: (cause) => unreachable(url, cause) })

const unreachable = (url: string, cause: unknown): CommandFailed => {
  const message = cause instanceof Error ? cause.message : String(cause)
  // Bun adds a question that is answered below.
  const reason = visible(message.replace(/\.? [^.]*\?$/, ""))
  return new CommandFailed({
    exitCode: EXIT.unreachable,
    message: `the service at ${url} cannot be reached: ${reason}`,
    details: [`Does it run? npx -y bun@${Bun.version} run start. Is it elsewhere? --url, or ESA_URL.`]
  })
}
