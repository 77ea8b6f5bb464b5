import type { Key, NewKey, NewKeyBody } from "@event-service-agent/api/representations"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { Agent, ALL_TENANTS, withAgent, withAgentOfAll } from "../agent.ts"
import { CommandFailed, EXIT } from "../failure.ts"
import { duration } from "../flags.ts"
import { note, paint, print, visible } from "../output.ts"
import { fromNow, localTime } from "../times.ts"

type Body = (typeof NewKeyBody)["Encoded"]
type Listed = (typeof Key)["Encoded"]
type Made = (typeof NewKey)["Encoded"]

const KEYS = "/api/admin/keys"
export const SCOPES = ["read", "submit", "admin"] as const

const scopes = Flag.String("scope").pipe(
  Flag.withMetavar("<scopes>"),
  Flag.withDescription(`What it allows, a comma list, or repeated: ${SCOPES.join(", ")}`),
  Flag.filterMap(
    (text) => {
      const names = text.split(",").map((name) => SCOPES.find((scope) => scope === name.trim()))
      const found = names.filter((name) => name !== undefined)
      return found.length === names.length ? Option.some(found) : Option.none()
    },
    () => `some of ${SCOPES.join(",")}`
  ),
  Flag.atLeast(1),
  Flag.map((lists) => SCOPES.filter((scope) => lists.some((list) => list.includes(scope))))
)

const create = Command.make(
  "create",
  {
    scope: scopes,
    expires: duration("expires").pipe(Flag.withDescription("For how long: 90d; for ever when absent"), Flag.optional),
    label: Flag.String("label").pipe(
      Flag.withDescription("The program that has it; of each label two keys may be live, while one is changed"),
      Flag.optional
    ),
    allTenants: Flag.Boolean("all-tenants").pipe(
      Flag.withoutNegation,
      Flag.withDescription("For all tenants instead of --tenant; admin is only for these"),
      Flag.withDefault(false)
    )
  },
  Effect.fn("Cli.createKey")(function* ({ scope, expires, label, allTenants }) {
    const { ask, settings, next } = yield* Agent
    if (!allTenants && !settings.isTenantGiven) {
      return yield* new CommandFailed({
        exitCode: EXIT.usage,
        message: "say for whom: --tenant acme, or --all-tenants"
      })
    }
    const body: Body = {
      tenantId: allTenants ? ALL_TENANTS : settings.tenant,
      scopes: scope,
      ...(Option.isSome(label) && { label: label.value }),
      ...(Option.isSome(expires) && { expiresAt: new Date(Date.now() + expires.value).toISOString() })
    }
    const made = (yield* ask<Made>("POST", KEYS, { body })).body
    yield* print(settings.isJson ? JSON.stringify(made) : made.key)
    if (!settings.isJson) yield* note(`told now and never again; ${describe(made)}`)
    yield* next("keys list")
  })
).pipe(
  Command.withDescription("Make a key and print it"),
  Command.withExamples([
    {
      command: "esa keys create --tenant acme --scope read,submit --expires 90d",
      description: "For a tenant's program"
    },
    { command: "esa keys create --all-tenants --scope read,admin > admin.key", description: "For an operator" }
  ]),
  withAgent
)

const list = Command.make(
  "list",
  {},
  Effect.fn("Cli.listKeys")(function* () {
    const { ask, settings } = yield* Agent
    const query = new URLSearchParams(settings.isTenantGiven ? { tenant: settings.tenant } : {})
    const { items } = (yield* ask<{ readonly items: ReadonlyArray<Listed> }>("GET", KEYS, { query })).body
    if (items.length === 0) return settings.isJson ? undefined : yield* note("there are no keys")
    const now = Date.now()
    yield* print(items.map((key) => (settings.isJson ? JSON.stringify(key) : inOneLine(key, now))).join("\n"))
  })
).pipe(
  Command.withDescription("List keys, the newest first: every one, or those of --tenant"),
  Command.withExamples([
    { command: "esa keys list --tenant acme", description: "Those of a tenant" },
    { command: "esa keys list --tenant '*'", description: "Those for all tenants" }
  ]),
  withAgentOfAll
)

const revoke = Command.make(
  "revoke",
  { id: Argument.String("key-id").pipe(Argument.withDescription("The part between the _ of a key, as list shows it")) },
  Effect.fn("Cli.revokeKey")(function* ({ id }) {
    const { ask, settings, next } = yield* Agent
    yield* ask("DELETE", `${KEYS}/${encodeURIComponent(id)}`)
    yield* print(settings.isJson ? JSON.stringify({ keyId: id, revoked: true }) : "revoked")
    yield* next("keys list")
  })
).pipe(Command.withDescription("Revoke a key, at once and for ever"), withAgent)

export const keys = Command.make("keys").pipe(
  Command.withDescription("API keys: create, list, revoke"),
  Command.withSubcommands([create, list, revoke]),
  Command.withExamples([
    { command: "esa keys create --tenant acme --scope read,submit --expires 90d", description: "A new one" },
    { command: "esa keys list --tenant acme", description: "Which there are" }
  ])
)

const describe = ({ tenantId, scopes: allowed, expiresAt }: Omit<Made, "key">): string =>
  `${tenantId === ALL_TENANTS ? "all tenants" : tenantId}: ${allowed.join(", ")}, ${expiresAt === null ? "for ever" : `until ${localTime(expiresAt)}`}`

const inOneLine = (key: Listed, now: number): string => {
  const isExpired = key.expiresAt !== null && Date.parse(key.expiresAt) <= now
  const state = key.revokedAt !== null ? "revoked" : isExpired ? "expired" : "live"
  const used = key.lastUsedAt === null ? "not used since the start" : `used ${fromNow(key.lastUsedAt, now)}`
  const parts = [key.keyId, state.padEnd(7), localTime(key.createdAt), describe(key), state === "live" ? used : ""]
  const text = [...parts, visible(key.label ?? "")].join("  ")
  return state === "live" ? text.trimEnd() : paint("dim", text.trimEnd())
}
