import { isIP } from "node:net"
import { dirname, join } from "node:path"
import type { Retention } from "@event-service-agent/adapters/sqlite/retention"
import type { TenantLimits } from "@event-service-agent/api/access/limits"
import { type EgressAllow, parseEgressAllow } from "@event-service-agent/platform/egress-policy"
import { Effect, type LogLevel, Result, Runtime, Schema } from "effect"
import { type NatsSettings, readNatsSettings } from "./nats-settings.ts"
import type { SettingKey } from "./settings-catalogue.ts"
import { EXPORTS_IN_FLIGHT_MAX, readTracingSettings, type TracingSettings } from "./tracing-settings.ts"

/** Everything that can be set, read once at the start. */
export interface Settings {
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
  /** Names under which people reach the server, beside those of loopback: others in `Host` get a 421. */
  readonly allowedHosts: ReadonlyArray<string>
  readonly dbPath: string
  /** Private destinations that may be called. */
  readonly egressAllow: EgressAllow
  readonly secretKeyFile: string
  /** Whether requests need a key. */
  readonly isKeyed: boolean
  /** Where the first key for the administration is written. */
  readonly adminKeyFile: string
  readonly limits: TenantLimits
  readonly logFormat: "pretty" | "json" | "logfmt"
  readonly logLevel: LogLevel.LogLevel
  /** `null`: no spans. */
  readonly tracing: TracingSettings | null
  /** Port of the bundled echo target on 127.0.0.1; `null` leaves it out. */
  readonly echoPort: number | null
  /** Otherwise calls are taken and wait, and nothing is deleted. */
  readonly sends: boolean
  readonly inFlightMax: number
  readonly inFlightPerTenantMax: number
  readonly retention: Retention
  /** `null`: the modules reach each other within the process. */
  readonly nats: NatsSettings | null
  /** Whether this process sends calls itself. Otherwise executors elsewhere do. */
  readonly executesHere: boolean
}

/** Reads one setting: the fallback when it is absent, and a problem noted when it does not parse. */
export type ReadSetting = <A>(
  key: SettingKey,
  fallback: A,
  parse: (text: string) => A | undefined,
  expected: string
) => A

/** Some settings are wrong. Holds a line for each: the key, the problem and the fix. Exit code 78 (EX_CONFIG). */
export class InvalidSettings extends Schema.TaggedError<InvalidSettings>()("InvalidSettings", {
  problems: Schema.Array(Schema.String)
}) {
  override readonly [Runtime.errorExitCode] = 78
  override readonly [Runtime.errorReported] = false
  override get message(): string {
    return ["The service cannot start with these settings:", ...this.problems.map((line) => `  ${line}`)].join("\n")
  }
}

type Environment = Readonly<Record<string, string | undefined>>

/** Requests that Bun sends at the same time when BUN_CONFIG_MAX_HTTP_REQUESTS does not say otherwise. */
const BUN_REQUESTS_DEFAULT = 256

const DAY_MS = 86_400_000
const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ["d", DAY_MS],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000]
])

const SWITCH: ReadonlyMap<string, boolean> = new Map([
  ["on", true],
  ["off", false]
])

const LOG_FORMATS = ["pretty", "json", "logfmt"] as const

const LOG_LEVELS: ReadonlyMap<string, LogLevel.LogLevel> = new Map([
  ["trace", "Trace"],
  ["debug", "Debug"],
  ["info", "Info"],
  ["warning", "Warn"],
  ["warn", "Warn"],
  ["error", "Error"],
  ["none", "None"]
])

/**
 * Reads the settings and reports all wrong ones at once. No value is repeated in a message: it may be a secret in the
 * wrong place.
 *
 * @param isTerminal whether people watch the log: then it is pretty, otherwise JSON
 */
export const readSettings = Effect.fnUntraced(function* (environment: Environment, isTerminal: boolean) {
  const problems: Array<string> = []
  const read: ReadSetting = (key, fallback, parse, expected) => {
    const text = environment[key]?.trim()
    if (text === undefined || text === "") return fallback
    const value = parse(text)
    if (value === undefined) problems.push(`${key} is wrong: expected ${expected}. Fix it or leave it out.`)
    return value === undefined ? fallback : value
  }
  const host = read(
    "HOST",
    "127.0.0.1",
    (text) => (/^[A-Za-z0-9.:_-]+$/.test(text) ? text : undefined),
    "a host name or an address, for example 127.0.0.1"
  )
  const port = read("PORT", 3000, integer(0, 65_535), "a port from 0 to 65535")
  const allowedHosts = read(
    "ALLOWED_HOSTS",
    [],
    hostNames,
    "a comma list of host names without ports, for example calls.example.com"
  )
  const dbPath = read("DB_PATH", "data/event_service.db", nonEmpty, "a file path")
  const isDevelopment = isLoopback(host) && environment["NODE_ENV"] !== "production"
  const echoPort = read<number | null>(
    "ECHO_PORT",
    isDevelopment ? 3001 : null,
    (text) => (text === "off" ? null : integer(0, 65_535)(text)),
    "a port from 0 to 65535, or off"
  )
  const egressAllow = parseEgressAllow(environment["EGRESS_ALLOW"] ?? "")
  if (Result.isFailure(egressAllow)) problems.push(`EGRESS_ALLOW is wrong: ${egressAllow.failure}.`)
  const tracing = readTracingSettings(read)
  // Requests beyond what Bun sends at once would queue inside it: their lateness and their timeouts would be untrue.
  const exportsMax = tracing === null ? 0 : EXPORTS_IN_FLIGHT_MAX
  const requestsMax =
    read(
      "BUN_CONFIG_MAX_HTTP_REQUESTS",
      BUN_REQUESTS_DEFAULT,
      integer(1 + exportsMax, 65_535),
      `a number of requests from ${1 + exportsMax} to 65535`
    ) - exportsMax
  const inFlightMax = read(
    "IN_FLIGHT_MAX",
    Math.min(1_000, requestsMax),
    integer(1, requestsMax),
    `a number of calls from 1 to ${requestsMax}, which is BUN_CONFIG_MAX_HTTP_REQUESTS${
      exportsMax === 0 ? "" : ` less ${exportsMax} for the export of spans`
    }`
  )
  const readAge = (key: SettingKey, fallbackMs: number) =>
    read<number | null>(
      key,
      fallbackMs,
      (text) => (text === "off" ? null : ageMs(text)),
      "a time such as 30d, 12h, 15m or 45s, or off to keep for ever"
    )
  const readLimit = (key: SettingKey, max: number, what: string) =>
    read<number | null>(
      key,
      null,
      (text) => (text === "off" ? null : integer(1, max)(text)),
      `a number of ${what} from 1 to ${max}, or off`
    )
  const settings: Settings = {
    host,
    port,
    allowedHosts: [inHostHeader(host), ...allowedHosts],
    dbPath,
    egressAllow: Result.getOrElse(egressAllow, () => []),
    secretKeyFile: read("SECRET_KEY_FILE", join(dirname(dbPath), "secret.key"), nonEmpty, "a file path"),
    isKeyed: read("AUTH", !isLoopback(host), (text) => SWITCH.get(text), "on or off"),
    adminKeyFile: read("ADMIN_KEY_FILE", join(dirname(dbPath), "admin.key"), nonEmpty, "a file path"),
    limits: {
      submissionsPerSecond: readLimit("RATE_LIMIT_SUBMISSIONS", 1_000_000, "submissions a second"),
      pendingCalls: readLimit("QUOTA_PENDING_CALLS", 1_000_000_000, "calls"),
      storedBytes: readLimit("QUOTA_STORED_BYTES", 999_999_999_999, "bytes")
    },
    logFormat: read("LOG_FORMAT", logFormatOf({}, isTerminal), oneOf(LOG_FORMATS), "pretty, json or logfmt"),
    logLevel: read(
      "LOG_LEVEL",
      "Info",
      (text) => LOG_LEVELS.get(text.toLowerCase()),
      [...LOG_LEVELS.keys()].join(", ")
    ),
    tracing,
    echoPort,
    sends: read("SENDING", true, (text) => SWITCH.get(text), "on or off"),
    inFlightMax,
    inFlightPerTenantMax: read(
      "IN_FLIGHT_PER_TENANT_MAX",
      Math.ceil(inFlightMax / 4),
      integer(1, inFlightMax),
      `a number of calls from 1 to IN_FLIGHT_MAX, ${inFlightMax}`
    ),
    retention: {
      finishedMs: readAge("RETENTION_FINISHED", 30 * DAY_MS),
      eventsMs: readAge("RETENTION_EVENTS", 7 * DAY_MS),
      deadLettersMs: readAge("RETENTION_DEAD_LETTERS", 90 * DAY_MS),
      keptRequestsMs: readAge("RETENTION_KEPT_REQUESTS", 30 * DAY_MS)
    },
    nats: readNatsSettings(read, { integer, age: ageMs }),
    executesHere: read("EXECUTE_HERE", true, (text) => SWITCH.get(text), "on or off")
  }
  if (settings.nats === null && !settings.executesHere) {
    problems.push("EXECUTE_HERE is wrong: executors elsewhere are reached over NATS. Set NATS_URL, or EXECUTE_HERE=on.")
  }
  if (settings.nats !== null && !settings.sends) {
    problems.push(
      "SENDING is wrong: off is for a database that nobody else works with, and over NATS events and orders go out. Leave NATS_URL out, or set SENDING=on."
    )
  }
  if (settings.echoPort === settings.port && settings.port !== 0) {
    problems.push("ECHO_PORT is wrong: it is the same as PORT. Choose another one, or off.")
  }
  return problems.length > 0 ? yield* new InvalidSettings({ problems }) : settings
})

/** The format of the log also where other settings are wrong. */
export const logFormatOf = (environment: Environment, isTerminal: boolean): Settings["logFormat"] =>
  oneOf(LOG_FORMATS)(environment["LOG_FORMAT"]?.trim() ?? "") ?? (isTerminal ? "pretty" : "json")

export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."))

/** Whether it listens on all addresses of the machine, however that is written: `0`, `0.0.0.0`, `::`, `::0`. */
export const isWildcard = (host: string): boolean => {
  const { hostname } = URL.parse(`http://${inHostHeader(host)}`) ?? {}
  return hostname === "0.0.0.0" || hostname === "[::]"
}

/** As it stands in a Host header, where IPv6 addresses have brackets. */
const inHostHeader = (host: string): string => (isIP(host) === 6 ? `[${host}]` : host).toLowerCase()

const hostNames = (text: string): ReadonlyArray<string> | undefined => {
  const names = text.split(",").map((name) => inHostHeader(name.trim()))
  return names.every((name) => /^([a-z0-9._-]+|\[[0-9a-f:.]+\])$/.test(name)) ? names : undefined
}

const integer =
  (min: number, max: number) =>
  (text: string): number | undefined => {
    const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN
    return value >= min && value <= max ? value : undefined
  }

/** A whole number of units and the unit; up to 99999 days. */
const ageMs = (text: string): number | undefined => {
  const [, amount = "", unit = ""] = /^([1-9]\d{0,7})([dhms])$/.exec(text) ?? []
  const unitMs = UNIT_MS.get(unit)
  return unitMs === undefined ? undefined : Number(amount) * unitMs
}

const nonEmpty = (text: string): string => text

const oneOf =
  <const A extends string>(values: ReadonlyArray<A>) =>
  (text: string): A | undefined =>
    values.find((value) => value === text)
