import { Brand, Schema } from "effect"
import { SecureRandom } from "effect/crypto"

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/u

const uuid = Schema.String.check(
  Schema.isPattern(UUID, { message: "Expected a lowercase UUID, for example 019a53b1-7c00-7d4e-8a51-0f6c1d2e3b4a" })
)

/** The customer whose calls these are: 1 to 64 characters of `A-Z a-z 0-9 _ -`. */
export const TenantId = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9_-]{1,64}$/u, { message: "Expected 1 to 64 characters of A-Z, a-z, 0-9, _ and -" })
).pipe(Schema.brand("TenantId"))
export type TenantId = typeof TenantId.Type

/** One service call of one tenant. UUIDv8 when derived from an idempotency key, otherwise UUIDv7. */
export const ServiceCallId = uuid.pipe(Schema.brand("ServiceCallId"))
export type ServiceCallId = typeof ServiceCallId.Type

export const MessageId = uuid.pipe(Schema.brand("MessageId"))
export type MessageId = typeof MessageId.Type

/** Joins everything that followed from one submission: messages, log lines, answers. */
export const CorrelationId = uuid.pipe(Schema.brand("CorrelationId"))
export type CorrelationId = typeof CorrelationId.Type

/** A service call's full name. Every query names the tenant. */
export const ServiceCallKey = Schema.Struct({ tenantId: TenantId, serviceCallId: ServiceCallId })
export type ServiceCallKey = typeof ServiceCallKey.Type

/** A call's name in maps and logs of all tenants: neither part has a slash. */
export const callName = ({ tenantId, serviceCallId }: ServiceCallKey): string => `${tenantId}/${serviceCallId}`

// UUIDv7; those of one process sort in the order in which they were made. What was just made needs no check.
const callIdOf = Brand.nominal<ServiceCallId>()
const messageIdOf = Brand.nominal<MessageId>()
const correlationIdOf = Brand.nominal<CorrelationId>()
export const newServiceCallId = (): ServiceCallId => callIdOf(SecureRandom.uuidV7Unsafe())
export const newMessageId = (): MessageId => messageIdOf(SecureRandom.uuidV7Unsafe())
export const newCorrelationId = (): CorrelationId => correlationIdOf(SecureRandom.uuidV7Unsafe())
