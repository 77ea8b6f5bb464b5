import { Effect, Option, Redacted } from "effect"
import { Flag, GlobalFlag } from "effect/cli"
import { CommandFailed, EXIT } from "./failure.ts"

const URL_DEFAULT = "http://127.0.0.1:3000"
const TENANT_DEFAULT = "demo"

export const UrlFlag = GlobalFlag.Setting("url")({
  flag: Flag.String("url").pipe(
    Flag.withMetavar("<url>"),
    Flag.withDescription(`Where the service is (ESA_URL; ${URL_DEFAULT})`),
    Flag.optional
  )
})
export const TenantFlag = GlobalFlag.Setting("tenant")({
  flag: Flag.String("tenant").pipe(
    Flag.withMetavar("<tenant>"),
    Flag.withDescription(`Whose calls (ESA_TENANT; the key's tenant, or ${TENANT_DEFAULT})`),
    Flag.optional
  )
})
export const KeyFlag = GlobalFlag.Setting("key")({
  flag: Flag.Redacted("key").pipe(
    Flag.withMetavar("<key>"),
    Flag.withDescription("API key; better in ESA_API_KEY, since others see your command line"),
    Flag.optional
  )
})
export const JsonFlag = GlobalFlag.Setting("json")({
  flag: Flag.Boolean("json").pipe(
    Flag.withoutNegation,
    Flag.withDescription("JSON on stdout, one document in each line for lists"),
    Flag.withDefault(false)
  )
})
/** What Effect has for every program, as far as it is of use here. */
export const BUILT_IN_FLAGS = [GlobalFlag.Help, GlobalFlag.Version] as const
/** Ours for every command. */
export const GLOBAL_FLAGS = [UrlFlag, TenantFlag, KeyFlag, JsonFlag] as const

export interface Settings {
  /** Origin and path of the service, without a slash at the end. */
  readonly url: string
  readonly tenant: string
  /** Whether the tenant is more than the one that is meant when nobody says. */
  readonly isTenantGiven: boolean
  readonly key: Redacted.Redacted<string> | undefined
  readonly isJson: boolean
  /** The flags that say where and whose, as they were given: they belong before a next command. Never the key. */
  readonly spelled: string
}

/**
 * Flags first, then the environment. A wrong flag is wrong use, a wrong variable is wrong configuration.
 *
 * @param parse what may be meant by a tenant; `undefined` for what may not
 */
export const readSettings = Effect.fnUntraced(function* (parse: (text: string) => string | undefined) {
  const [urlFlag, tenantFlag, keyFlag, isJson] = yield* Effect.all([UrlFlag, TenantFlag, KeyFlag, JsonFlag])
  const url = yield* read(urlFlag, "--url", "ESA_URL", URL_DEFAULT, parseUrl, "an http or https address")
  const tenant = yield* read(tenantFlag, "--tenant", "ESA_TENANT", TENANT_DEFAULT, parse, "letters, digits, _, -")
  const given = Option.getOrElse(keyFlag, () => Redacted.make(process.env["ESA_API_KEY"] ?? ""))
  const hasKey = Redacted.value(given) !== ""
  if (hasKey && !/^[!-~]{1,512}$/.test(Redacted.value(given))) {
    return yield* wrong(Option.isSome(keyFlag) ? "--key" : undefined, "ESA_API_KEY", "visible ASCII characters")
  }
  const spelled = [
    ...(Option.isSome(urlFlag) ? [`--url ${url}`] : []),
    ...(Option.isSome(tenantFlag) ? [`--tenant ${tenant}`] : [])
  ].join(" ")
  const isTenantGiven = Option.isSome(tenantFlag) || (process.env["ESA_TENANT"] ?? "") !== ""
  return { url, tenant, isTenantGiven, key: hasKey ? given : undefined, isJson, spelled } satisfies Settings
})

const read = (
  flag: Option.Option<string>,
  flagName: string,
  variable: string,
  fallback: string,
  parse: (text: string) => string | undefined,
  expected: string
): Effect.Effect<string, CommandFailed> => {
  const fromEnvironment = process.env[variable] ?? ""
  const value = parse(Option.getOrElse(flag, () => (fromEnvironment === "" ? fallback : fromEnvironment)))
  return value === undefined
    ? wrong(Option.isSome(flag) ? flagName : undefined, variable, expected)
    : Effect.succeed(value)
}

const wrong = (flag: string | undefined, variable: string, expected: string) =>
  Effect.fail(
    new CommandFailed({
      exitCode: flag === undefined ? EXIT.configuration : EXIT.usage,
      message: `${flag ?? variable} is wrong: expected ${expected}`
    })
  )

const parseUrl = (text: string): string | undefined => {
  const url = URL.parse(text)
  const isPlain = url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.password === ""
  return isPlain ? `${url.origin}${url.pathname}`.replace(/\/+$/, "") : undefined
}

/** A name that a tenant may have; otherwise `undefined`. */
export const parseTenant = (text: string): string | undefined => (/^[A-Za-z0-9_-]{1,64}$/.test(text) ? text : undefined)
