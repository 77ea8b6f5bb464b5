import { TenantId } from "@event-service-agent/schemas/ids"
import { Schema } from "effect"

/** What a key lets its holder do: look at calls, submit and change them, administer the agent. */
export const SCOPES = ["read", "submit", "admin"] as const
export const Scope = Schema.Literals(SCOPES)
export type Scope = typeof Scope.Type

/** In place of a tenant: all of them. */
export const ALL_TENANTS = "*"
export const KeyTenant = Schema.Union([TenantId, Schema.Literal(ALL_TENANTS)])
export type KeyTenant = typeof KeyTenant.Type

export const KEY_TENANT_PATTERN = "^([A-Za-z0-9_-]{1,64}|\\*)$"
export const KEY_ID_PATTERN = "^[0-9A-Za-z]{12}$"
/** The public part of a key, under which it is listed and revoked. */
export const KeyId = Schema.String.check(
  Schema.isPattern(new RegExp(KEY_ID_PATTERN, "u"), {
    message: "Expected the 12 letters and digits between the _ of a key"
  })
).pipe(Schema.brand("KeyId"))
export type KeyId = typeof KeyId.Type

/**
 * What a route asks for: nothing, any key, a scope of the tenant in its path, or what operators have: `admin`, or
 * `read` of all tenants.
 */
export type Access = "open" | "key" | "operators" | Scope
