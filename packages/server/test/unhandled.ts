import type { Database } from "bun:sqlite"

/** A message that orchestration has yet to handle, or has given up. */
export interface Unhandled {
  readonly consumer: string
  readonly seq: number
  readonly tenant_id: string
  readonly service_call_id: string
}

export interface Submissions {
  /** Which rows `s` of `submissions`, in SQL; it may have parameters. */
  readonly where: string
  readonly bindings?: ReadonlyArray<string | number>
  /** In SQL over `s`: what orchestration failed with. Without it, the messages are only waiting. */
  readonly error?: string
}

/** What is stored of the sealed request; where it is stored no more, that of another call stands in for it. */
const SEALED = "coalesce(c.sealed, (SELECT sealed FROM service_calls WHERE sealed IS NOT NULL LIMIT 1))"

const iso = (column: string): string => `strftime('%Y-%m-%dT%H:%M:%fZ', ${column} / 1000.0, 'unixepoch')`

/**
 * Adds the SubmitServiceCall of the submissions once more, as if orchestration had not handled it. The service must not
 * run. What has been handled in fact changes nothing when it is handled again.
 */
export const storeUnhandled = (
  database: Database,
  { where, bindings = [], error }: Submissions
): ReadonlyArray<Unhandled> =>
  database.transaction(() => {
    const last = database.query<{ readonly seq: number | null }, []>("SELECT max(seq) AS seq FROM outbox").get()
    database
      .query(
        `INSERT INTO outbox (message_id, type, schema_version, tenant_id, service_call_id, version, timestamp,
           correlation_id, causation_id, payload, sealed)
         SELECT '019a53b1-7c00-7d4e-8a52-' || lower(hex(randomblob(6))), 'SubmitServiceCall', 1, s.tenant_id,
           s.service_call_id, 1, s.accepted_at, s.correlation_id, NULL,
           json_object('name', s.name, 'dueAt', ${iso("s.due_at")}, 'acceptedAt', ${iso("s.accepted_at")},
             'request', json(s.request), 'sealed', NULL, 'tags', json(s.tags), 'timeoutMs', s.timeout_ms,
             'onUnknown', s.on_unknown, 'keepRequest', json('false')),
           ${SEALED}
         FROM submissions s LEFT JOIN service_calls c USING (tenant_id, service_call_id)
         WHERE ${where} ORDER BY s.accepted_at, s.service_call_id`
      )
      .run(...bindings)
    const added = `FROM outbox o JOIN submissions s USING (tenant_id, service_call_id) WHERE o.seq > ${last?.seq ?? 0}`
    const into =
      error === undefined
        ? `deliveries (consumer, seq, tenant_id, service_call_id, attempts, available_at)
           SELECT 'orchestration', o.seq, o.tenant_id, o.service_call_id, 0, 0 ${added}`
        : `dead_letters (consumer, seq, tenant_id, service_call_id, type, attempts, error, died_at)
           SELECT 'orchestration', o.seq, o.tenant_id, o.service_call_id, o.type, 10, ${error}, o.timestamp ${added}`
    return database
      .query<Unhandled, []>(`INSERT INTO ${into} RETURNING consumer, seq, tenant_id, service_call_id`)
      .all()
  })()
