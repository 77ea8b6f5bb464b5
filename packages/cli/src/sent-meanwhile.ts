import type { Database } from "bun:sqlite"

/** Calls that went out while something else ran: what that cost the service. */
export interface SentMeanwhile {
  readonly calls: number
  /** 0 when there are no calls. */
  readonly latenessMs: { readonly median: number; readonly max: number }
}

/** More messages are not looked at: they are those of about 160,000 calls, and take about a second. */
const MESSAGES_MAX = 1_000_000

/**
 * The claims among the messages that were written since, found by their number: what it costs depends on these alone.
 * Of a call whose answer is still awaited, the claim stands for the send; one that was never sent was not late.
 */
const LATENESSES = `
  SELECT coalesce(c.lateness_ms, max(0, o.timestamp - max(c.due_at, c.accepted_at))) AS latenessMs
  FROM outbox o CROSS JOIN service_calls c USING (tenant_id, service_call_id)
  WHERE o.seq > ? AND o.seq <= ? AND o.type = 'ExecutionStarted' AND o.payload ->> 'attempt' = 1
    AND (c.lateness_ms IS NOT NULL OR c.outcome IS NULL)
  ORDER BY latenessMs`

/** Begins to look. What it returns says which calls were sent since then. */
export const watchSends = (database: Database): (() => SentMeanwhile) => {
  const from = database.query<{ seq: number }, []>("SELECT coalesce(max(seq), 0) AS seq FROM outbox").get()?.seq ?? 0
  return () => {
    const sorted = database
      .query<{ latenessMs: number }, [number, number]>(LATENESSES)
      .all(from, from + MESSAGES_MAX)
      .map(({ latenessMs }) => latenessMs)
    const median = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0
    return { calls: sorted.length, latenessMs: { median, max: sorted.at(-1) ?? 0 } }
  }
}
