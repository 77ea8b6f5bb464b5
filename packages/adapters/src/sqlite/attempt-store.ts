import { AttemptOutcome, type Lease, type OpenAttempt } from "@event-service-agent/execution/domain/attempt"
import { AttemptStore, type RecordedAttempt } from "@event-service-agent/execution/ports/attempt-store"
import type { CorrelationId, MessageId, ServiceCallId, TenantId } from "@event-service-agent/schemas/ids"
import { fromMillis, toMillis } from "@event-service-agent/schemas/time"
import { Effect, Layer, Schema } from "effect"
import { WriteConnection } from "./database.ts"

interface LeaseRow {
  readonly tenant_id: TenantId
  readonly service_call_id: ServiceCallId
  readonly number: number
  readonly process_id: string
  readonly is_remote: number
  readonly started_at: number
  readonly deadline_at: number
}

interface AttemptRow extends LeaseRow {
  readonly correlation_id: CorrelationId
  readonly causation_id: MessageId
  readonly sealed_for_resend: Uint8Array | null
  readonly outcome: string | null
  readonly evidence: string | null
  readonly traceparent: string | null
}

export const layer = Layer.effect(
  AttemptStore,
  Effect.gen(function* () {
    const writer = yield* WriteConnection
    const claim = writer.prepare(
      `INSERT INTO execution_attempts
         (tenant_id, service_call_id, number, process_id, is_remote, started_at, deadline_at, correlation_id,
          causation_id, sealed_for_resend, traceparent)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
    )
    const close = writer.prepare(
      `UPDATE execution_attempts SET outcome = ?, sealed_for_resend = NULL
       WHERE tenant_id = ? AND service_call_id = ? AND number = ? AND outcome IS NULL`
    )
    const keepEvidence = writer.prepare(
      "UPDATE execution_attempts SET evidence = ? WHERE tenant_id = ? AND service_call_id = ? AND number = ?"
    )
    const attemptsOf = writer.prepare<AttemptRow>(
      "SELECT * FROM execution_attempts WHERE tenant_id = ? AND service_call_id = ? ORDER BY number"
    )
    const overdue = writer.prepare<AttemptRow>(
      `SELECT * FROM execution_attempts
       WHERE outcome IS NULL AND (deadline_at <= ? OR (process_id <> ? AND is_remote = 0))
       ORDER BY deadline_at LIMIT ?`
    )
    const remote = writer.prepare<LeaseRow>(
      `SELECT tenant_id, service_call_id, number, process_id, is_remote, started_at, deadline_at
       FROM execution_attempts WHERE outcome IS NULL AND is_remote = 1`
    )

    return AttemptStore.of({
      claim: (attempt) =>
        Effect.mapEager(
          claim.run(
            attempt.key.tenantId,
            attempt.key.serviceCallId,
            attempt.number,
            attempt.processId,
            attempt.isRemote ? 1 : 0,
            toMillis(attempt.startedAt),
            toMillis(attempt.deadlineAt),
            attempt.correlationId,
            attempt.causationId,
            attempt.sealedForResend,
            attempt.traceparent ?? null
          ),
          ({ changes }) => changes === 1
        ),
      close: (key, number, outcome) =>
        Effect.mapEager(
          close.run(encodeOutcome(outcome), key.tenantId, key.serviceCallId, number),
          ({ changes }) => changes === 1
        ),
      keepEvidence: (key, number, result) =>
        Effect.mapEager(keepEvidence.run(encodeOutcome(result), key.tenantId, key.serviceCallId, number), () => {}),
      attemptsOf: (key) =>
        Effect.mapEager(attemptsOf.all(key.tenantId, key.serviceCallId), (rows) => rows.map(toRecorded)),
      overdueOfAllTenants: (now, processId, limit) =>
        Effect.mapEager(overdue.all(toMillis(now), processId, limit), (rows) => rows.map(toOpen)),
      remoteOfAllTenants: Effect.suspend(() => Effect.mapEager(remote.all(), (rows) => rows.map(toLease)))
    })
  })
)

/** As the schema encodes it: plain data, and times that write themselves as RFC 3339. */
const encodeOutcome = (outcome: AttemptOutcome): string => JSON.stringify(outcome)
const decodeOutcome = Schema.decodeSync(Schema.fromJsonString(AttemptOutcome))

const toLease = (row: LeaseRow): Lease => ({
  key: { tenantId: row.tenant_id, serviceCallId: row.service_call_id },
  number: row.number,
  processId: row.process_id,
  isRemote: row.is_remote === 1,
  startedAt: fromMillis(row.started_at),
  deadlineAt: fromMillis(row.deadline_at)
})

const toOpen = (row: AttemptRow): OpenAttempt => ({
  ...toLease(row),
  correlationId: row.correlation_id,
  causationId: row.causation_id,
  sealedForResend: row.sealed_for_resend,
  ...(row.traceparent === null ? {} : { traceparent: row.traceparent })
})

const toRecorded = (row: AttemptRow): RecordedAttempt => ({
  attempt: toOpen(row),
  outcome: row.outcome === null ? null : decodeOutcome(row.outcome),
  evidence: row.evidence === null ? null : decodeOutcome(row.evidence)
})
