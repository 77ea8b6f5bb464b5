import { existsSync } from "node:fs"
import { BunHttpServer, ListenerScope } from "@event-service-agent/adapters/bun/http-server"
import { countBacklog } from "@event-service-agent/adapters/sqlite/backlog"
import { Console, Effect, Layer, References, Scope } from "effect"
import { isLoopback, type Settings } from "./config.ts"

/** Says on the terminal, or in one log line, where the service is and what to try. */
export const layer = (settings: Settings, echoPort: number | null) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { url } = yield* BunHttpServer
      const backlog = yield* countBacklog
      for (const warning of warningsOf(settings)) yield* Effect.logWarning(warning)
      yield* Effect.addFinalizer(() =>
        Effect.logInfo("stopping: calls under way may finish, a second signal cuts them off")
      )
      yield* Effect.addFinalizer(() => Effect.logInfo("stopped: what has ended is recorded")).pipe(
        Scope.provide(yield* ListenerScope)
      )
      if (settings.logFormat !== "pretty") {
        // Whatever the level: with PORT=0 nothing else tells the address.
        return yield* Effect.logInfo("ready").pipe(
          Effect.annotateLogs({
            url: url.href,
            pid: process.pid,
            dbPath: settings.dbPath,
            bus: busOf(settings),
            egress: egressOf(settings, echoPort),
            access: settings.isKeyed ? "keys" : "everyone",
            ...backlog
          }),
          Effect.provideService(References.MinimumLogLevel, "Info")
        )
      }
      yield* Console.log(textOf(url, settings, echoPort, backlog))
    })
  )

/** The promise of idempotency: for so long after its end, a call is known by its key. */
const KEYS_KNOWN_MS = 30 * 86_400_000

/** What is allowed, and may not be meant. */
const warningsOf = ({ isKeyed, host, allowedHosts, sends, retention }: Settings): ReadonlyArray<string> => {
  const warnings: Array<string> = []
  if (!isKeyed && !isLoopback(host)) {
    warnings.push(
      `anyone who can reach ${host} can submit, read and cancel calls, and administer: AUTH is off, so keep the service behind something that knows its callers`
    )
  }
  if (!isKeyed && isLoopback(host) && allowedHosts.length > 1) {
    warnings.push(
      "ALLOWED_HOSTS names a way in for others, and AUTH is off: whoever gets through can do everything. Set AUTH=on"
    )
  }
  if (!sends) warnings.push("nothing is sent: SENDING is off, so that calls are taken and wait")
  if (retention.finishedMs !== null && retention.finishedMs < KEYS_KNOWN_MS) {
    warnings.push(
      "RETENTION_FINISHED is less than 30d: once a call is deleted, its idempotency key makes a new call, which is sent"
    )
  }
  return warnings
}

const busOf = ({ nats }: Settings): string =>
  nats === null ? "embedded" : `NATS JetStream at ${nats.servers.join(", ")}, prefix ${nats.prefix}`

const egressOf = ({ egressAllow }: Settings, echoPort: number | null): string => {
  const exceptions = [
    ...(egressAllow.length === 0 ? [] : [`${egressAllow.length} by EGRESS_ALLOW`]),
    ...(echoPort === null ? [] : [`the echo target on port ${echoPort}`])
  ]
  return `public addresses only, exceptions: ${exceptions.length === 0 ? "none" : exceptions.join(" and ")}`
}

const textOf = (
  url: URL,
  settings: Settings,
  echoPort: number | null,
  backlog: Effect.Success<typeof countBacklog>
): string => {
  const echo =
    echoPort === null ? [] : [`  echo      http://127.0.0.1:${echoPort}/echo, the demo target, open to calls`]
  const adminKey = existsSync(settings.adminKeyFile) ? `; ${settings.adminKeyFile} holds one for everything` : ""
  const access = settings.isKeyed ? `API keys${adminKey}` : "everyone, AUTH is off"
  const key = settings.isKeyed ? ` \\\n    -H "authorization: Bearer $(cat ${settings.adminKeyFile})"` : ""
  const target = echoPort === null ? "https://example.com/" : `http://127.0.0.1:${echoPort}/echo`
  return [
    "",
    "Event Service Agent is ready",
    "",
    `  page      ${url.href}`,
    `  API       ${url.href}api/tenants/<tenant>/service-calls`,
    `  docs      ${url.href}docs and ${url.href}openapi.json`,
    `  health    ${url.href}health/ready`,
    `  access    ${access}`,
    `  store     ${settings.dbPath}, every 202 is on disk`,
    `  bus       ${busOf(settings)}`,
    `  egress    ${egressOf(settings, null)}`,
    ...echo,
    `  backlog   ${backlog.armedTimers} scheduled, ${backlog.dueCalls} due, ${backlog.runningCalls} running`,
    `  stop      Ctrl-C, or kill ${process.pid}; what is under way may finish`,
    "",
    "Try it:",
    `  curl -s ${url.href}api/tenants/demo/service-calls -H 'content-type: application/json'${key} \\`,
    `    -d '{"name":"hello","requestSpec":{"method":"POST","url":"${target}","body":"hi"}}'`,
    ""
  ].join("\n")
}
