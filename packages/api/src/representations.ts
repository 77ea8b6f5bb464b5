import { STATUSES } from "@event-service-agent/orchestration/ports/service-call-reader"
import { CONSUMERS } from "@event-service-agent/schemas/envelope"
import { OnUnknown, RedactedRequest } from "@event-service-agent/schemas/http-request"
import { CorrelationId, ServiceCallId, TenantId } from "@event-service-agent/schemas/ids"
import { ErrorMeta, FailureKind, ResponseMeta, Sent } from "@event-service-agent/schemas/outcome"
import { Tags } from "@event-service-agent/schemas/tags"
import { Timestamp } from "@event-service-agent/schemas/time"
import { Schema } from "effect"
import { KeyId, KeyTenant, Scope } from "./access/scope.ts"
import { GATES } from "./why.ts"

export const REASON_CHARACTERS_MAX = 200

export const Status = Schema.Literals(STATUSES)

/** The data of a live event. */
export const LiveEvent = Schema.Struct({
  serviceCallId: ServiceCallId,
  type: Schema.String,
  version: Schema.Int,
  timestamp: Timestamp,
  correlationId: CorrelationId,
  payload: Schema.Unknown
}).annotate({ identifier: "LiveEvent" })

const Links = Schema.Struct({ self: Schema.String, cancel: Schema.String, tags: Schema.String })

/** Where a call is and what it is doing. */
export const CallReference = Schema.Struct({ serviceCallId: ServiceCallId, status: Status, links: Links }).annotate({
  identifier: "CallReference"
})

export const CallSummary = Schema.Struct({
  tenantId: TenantId,
  serviceCallId: ServiceCallId,
  name: Schema.String,
  status: Status,
  request: RedactedRequest,
  tags: Tags,
  acceptedAt: Timestamp,
  dueAt: Timestamp,
  finishedAt: Schema.NullOr(Timestamp),
  latenessMs: Schema.NullOr(Schema.Int).annotate({
    description: "From the later of dueAt and acceptedAt to the last instant before the send; null if unsent"
  }),
  failure: Schema.NullOr(
    Schema.Struct({ kind: FailureKind, message: Schema.String, sent: Sent }).annotate({
      description: "Why a failed call failed, and whether the request was sent; null for other calls"
    })
  ),
  correlationId: CorrelationId
}).annotate({ identifier: "CallSummary" })

export const CallDetail = Schema.Struct({
  ...CallSummary.fields,
  timeoutMs: Schema.Int,
  onUnknown: OnUnknown,
  clonedFrom: Schema.NullOr(ServiceCallId).annotate({ description: "The call that this one repeats" }),
  requestKept: Schema.Boolean.annotate({ description: "The call can be repeated as it was, by resend" }),
  history: Schema.Array(Schema.Struct({ status: Status, at: Timestamp })),
  attempt: Schema.NullOr(Schema.Struct({ number: Schema.Int, startedAt: Timestamp })),
  outcome: Schema.NullOr(
    Schema.Union([
      Schema.Struct({ type: Schema.Literal("Succeeded"), response: ResponseMeta }),
      Schema.Struct({ type: Schema.Literal("Failed"), error: ErrorMeta }),
      Schema.Struct({ type: Schema.Literal("Cancelled"), reason: Schema.NullOr(Schema.String) })
    ])
  ),
  problems: Schema.Array(
    Schema.Struct({
      consumer: Schema.String,
      seq: Schema.Int,
      messageType: Schema.String,
      attempts: Schema.Int,
      error: Schema.String,
      diedAt: Timestamp
    })
  ).annotate({ description: "Messages of this call that a module could not handle; they hold up what comes after" }),
  links: Links
}).annotate({ identifier: "CallDetail" })

export const CallStats = Schema.Struct({
  total: Schema.Int,
  statuses: Schema.Struct({
    Submitted: Schema.Int,
    Scheduled: Schema.Int,
    Running: Schema.Int,
    Succeeded: Schema.Int,
    Failed: Schema.Int,
    Cancelled: Schema.Int
  }),
  tags: Schema.Array(Schema.Struct({ tag: Schema.String, calls: Schema.Int })).annotate({
    description: "The 100 most used, and `starred` whenever a call has it"
  }),
  overdue: Schema.Int.annotate({
    description:
      "Calls that were due 10 s ago or longer and wait for their timer or for a place; 100 stands for 100 or more"
  })
}).annotate({ identifier: "CallStats" })

const millis = Schema.Int
export const Why = Schema.Struct({
  serviceCallId: ServiceCallId,
  status: Status,
  gate: Schema.Literals(GATES),
  summary: Schema.String.annotate({ description: "For people" }),
  nextWakeUpAt: Schema.NullOr(Timestamp).annotate({
    description:
      "When it may go on at the latest; at a cap, when the next place is free. At the cap of all tenants it is told only to keys for all of them"
  }),
  numbers: Schema.Record(Schema.String, Schema.Finite),
  lateness: Schema.NullOr(
    Schema.Struct({ totalMs: millis, releaseMs: millis, claimMs: millis, sendMs: millis }).annotate({
      description: "How the lateness of a call that was sent divides: until its release, its claim, its send"
    })
  )
}).annotate({ identifier: "Why" })

export const DeadLetter = Schema.Struct({
  consumer: Schema.Literals(CONSUMERS),
  seq: Schema.Int,
  tenantId: TenantId,
  serviceCallId: ServiceCallId,
  messageType: Schema.String,
  attempts: Schema.Int,
  error: Schema.String,
  diedAt: Timestamp
}).annotate({ identifier: "DeadLetter" })

export const CancelBody = Schema.Struct({
  reason: Schema.optionalKey(
    Schema.NullOr(Schema.String.check(Schema.isMaxLength(REASON_CHARACTERS_MAX))).annotate({
      description: "Why, for people. The body may be left out"
    })
  )
})
export const ResendBody = Schema.Struct({
  dueAt: Schema.optionalKey(Timestamp.annotateKey({ description: "When to perform the request. Absent: now" }))
})
export const RepublishBody = Schema.Struct({
  since: Timestamp.annotate({ description: "Events that were written then or later" })
})
export const LABEL_CHARACTERS_MAX = 200
/** Of a key that is to be made. */
export const NewKeyBody = Schema.Struct({
  tenantId: KeyTenant.annotate({ message: "Expected the id of a tenant, or * for all of them" }),
  scopes: Schema.Array(Scope)
    .check(
      Schema.isMinLength(1, { message: "Expected at least one scope" }),
      Schema.isUnique({ message: "Expected each scope once" })
    )
    .annotate({ description: "admin only for all tenants" }),
  label: Schema.optionalKey(
    Schema.NullOr(Schema.String.check(Schema.isMaxLength(LABEL_CHARACTERS_MAX))).annotate({
      description:
        "The program that has the key. Of one tenant and label two keys are live at most: the old one, and the new one " +
        "while it is changed. Absent: no label, which counts as one"
    })
  ),
  expiresAt: Schema.optionalKey(Schema.NullOr(Timestamp).annotate({ description: "Absent: never" }))
})

const key = {
  keyId: KeyId,
  tenantId: KeyTenant.annotate({ description: "* is all of them" }),
  scopes: Schema.Array(Scope),
  label: Schema.NullOr(Schema.String),
  createdAt: Timestamp,
  expiresAt: Schema.NullOr(Timestamp)
}
export const Key = Schema.Struct({
  ...key,
  revokedAt: Schema.NullOr(Timestamp),
  lastUsedAt: Schema.NullOr(Timestamp).annotate({ description: "Since the service was started; `null` when not" })
}).annotate({ identifier: "Key" })
export const NewKey = Schema.Struct({
  ...key,
  key: Schema.String.annotate({ description: "Told here and never again" })
}).annotate({ identifier: "NewKey" })

export const Whoami = Schema.Struct({
  auth: Schema.Literals(["on", "off"]),
  keyId: Schema.NullOr(KeyId).annotate({ description: "Which key this is; `null` where none is asked for" }),
  tenantId: key.tenantId,
  scopes: key.scopes
}).annotate({ identifier: "Whoami" })

export const TagsBody = Schema.Struct({ tags: Tags })
