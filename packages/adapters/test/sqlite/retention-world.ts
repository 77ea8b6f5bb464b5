import type { Database } from "bun:sqlite"
import fc from "fast-check"
import type { Retention } from "../../src/sqlite/retention.ts"

export const DAY_MS = 86_400_000
const NEVER_ENDED = ["Submitted", "Scheduled", "Running"] as const
const ENDED = ["Succeeded", "Failed", "Cancelled"] as const

/** A message of a call. Ages are days. */
export interface StoredMessage {
  readonly number: number
  readonly type: "SubmitServiceCall" | "ServiceCallScheduled"
  readonly age: number
  readonly hasSealed: boolean
  readonly waits: "delivery" | "dead letter" | "no"
  readonly letterAge: number
}

/** A call, or a submission that has not become one. Ages are days, and half a day more: no border is met. */
export interface StoredCall {
  readonly status: (typeof NEVER_ENDED)[number] | (typeof ENDED)[number] | "only submission"
  readonly age: number
  readonly endAge: number
  readonly isKept: boolean
  readonly hasOpenAttempt: boolean
  readonly messages: ReadonlyArray<StoredMessage>
}

const anyAge = (max: number) => fc.integer({ min: 0, max })

const anyMessage = (age: number): fc.Arbitrary<StoredMessage> =>
  fc.record({
    number: fc.constant(0),
    type: fc.constant("ServiceCallScheduled" as const),
    age: anyAge(age),
    hasSealed: fc.boolean(),
    waits: fc.constantFrom("no" as const, "no" as const, "no" as const, "delivery" as const, "dead letter" as const),
    letterAge: anyAge(age)
  })

const anyCall = (ageMax: number): fc.Arbitrary<StoredCall> =>
  anyAge(ageMax).chain((age) =>
    fc
      .record({
        status: fc.constantFrom(...NEVER_ENDED, ...ENDED, ...ENDED, "only submission" as const),
        age: fc.constant(age),
        endAge: anyAge(age),
        isKept: fc.boolean(),
        hasOpenAttempt: fc.integer({ min: 0, max: 9 }).map((dice) => dice === 0),
        command: anyMessage(age),
        others: fc.array(anyMessage(age), { maxLength: 3 })
      })
      .map(({ command, others, ...call }) => ({
        ...call,
        messages: [
          { ...command, type: "SubmitServiceCall" as const, age },
          ...others.map((message, index) => ({ ...message, number: index + 1 }))
        ]
      }))
  )

/** In the order of their submission, as they come to be. */
export const anyCalls = (ageMax: number) =>
  fc.array(anyCall(ageMax), { maxLength: 20 }).map((calls) => calls.toSorted((a, b) => b.age - a.age))

/** Multiples of four days, so that a quarter more is whole. */
const anyTime = fc.option(
  fc.integer({ min: 1, max: 15 }).map((times) => times * 4 * DAY_MS),
  { freq: 4 }
)

export const anyRetention: fc.Arbitrary<Retention> = fc.record({
  finishedMs: anyTime,
  eventsMs: anyTime,
  deadLettersMs: anyTime,
  keptRequestsMs: anyTime
})

/** Two tenants have calls with the same ids: what goes of one stays of the other. */
export const keyOf = (index: number) => ({
  tenant_id: index % 2 === 0 ? "acme" : "other",
  service_call_id: `call-${index >> 1}`
})

/** Of a message, in its row. */
export const nameOf = (index: number, message: StoredMessage): string => `${index}/${message.number}`

export const hasEnded = ({ status }: StoredCall): boolean => ENDED.some((ended) => ended === status)

/** Where ages are stored as times. */
const TIMES = [
  ["outbox", "timestamp"],
  ["dead_letters", "died_at"],
  ["submissions", "accepted_at"],
  ["service_calls", "accepted_at"],
  ["service_calls", "submitted_at"],
  ["service_calls", "finished_at"],
  ["service_call_tags", "accepted_at"]
] as const

export const wipe = (database: Database): void => {
  const tables = new Set([...TIMES.map(([table]) => table), "deliveries", "timer_schedules", "execution_attempts"])
  for (const table of tables) database.run(`DELETE FROM ${table}`)
}

/** As if so many days had passed. */
export const age = (database: Database, days: number): void => {
  for (const [table, column] of TIMES) database.run(`UPDATE ${table} SET ${column} = ${column} - ${days * DAY_MS}`)
}

type Row = Readonly<Record<string, string | number | Uint8Array | null>>

/** Of every type that is used here. */
const PAYLOAD = JSON.stringify({
  name: "n",
  dueAt: "2030-01-01T00:00:00.000Z",
  acceptedAt: "2026-01-01T00:00:00.000Z",
  request: { method: "GET", url: "https://example.com/", headers: {}, bodyBytes: 0 },
  sealed: null,
  tags: [],
  timeoutMs: 1,
  onUnknown: "fail",
  keepRequest: false
})

const SEALED = new Uint8Array([1, 2, 3])

/** Adds the calls to what is stored. The first has this index. */
export const store = (database: Database, calls: ReadonlyArray<StoredCall>, firstIndex: number): void => {
  const now = Date.now()
  const timeOf = (age: number) => now - age * DAY_MS - DAY_MS / 2
  const insert = (table: string, row: Row) =>
    database
      .query(`INSERT INTO ${table} (${Object.keys(row)}) VALUES (${Object.keys(row).map(() => "?")})`)
      .run(...Object.values(row))
  database.transaction(() => {
    for (const [index, call] of calls.entries()) storeCall(insert, call, keyOf(firstIndex + index), timeOf)
    const messages = calls.flatMap((call, index) => call.messages.map((message) => ({ message, index })))
    for (const { message, index } of messages.toSorted((a, b) => b.message.age - a.message.age)) {
      storeMessage(insert, message, firstIndex + index, timeOf)
    }
  })()
}

const storeCall = (
  insert: (table: string, row: Row) => void,
  call: StoredCall,
  key: ReturnType<typeof keyOf>,
  timeOf: (age: number) => number
): void => {
  const common = { ...key, accepted_at: timeOf(call.age), due_at: 1, name: "n", request: "{}", tags: '["a","b"]' }
  const more = { timeout_ms: 1, on_unknown: "fail", correlation_id: "k" }
  insert("submissions", { ...common, ...more, fingerprint: "f" })
  if (call.status === "only submission") return
  insert("service_calls", {
    ...common,
    ...more,
    revision: 1,
    status: call.status,
    sealed: !hasEnded(call) || call.isKept ? SEALED : null,
    keep_request: call.isKept ? 1 : 0,
    submitted_at: timeOf(call.age),
    is_due: 0,
    finished_at: hasEnded(call) ? timeOf(call.endAge) : null
  })
  for (const tag of ["a", "b"]) insert("service_call_tags", { ...key, tag, accepted_at: timeOf(call.age) })
  insert("timer_schedules", { ...key, due_at: 1, version: 1, correlation_id: "k" })
  const attempt = { ...key, number: 1, process_id: "p", started_at: 1, deadline_at: 1, correlation_id: "k" }
  insert("execution_attempts", { ...attempt, causation_id: "m", outcome: call.hasOpenAttempt ? null : "{}" })
}

const storeMessage = (
  insert: (table: string, row: Row) => { readonly lastInsertRowid: number | bigint },
  message: StoredMessage,
  index: number,
  timeOf: (age: number) => number
): void => {
  const key = keyOf(index)
  const { lastInsertRowid } = insert("outbox", {
    ...key,
    message_id: nameOf(index, message),
    type: message.type,
    schema_version: 1,
    version: 1,
    timestamp: timeOf(message.age),
    correlation_id: "k",
    payload: PAYLOAD,
    sealed: message.hasSealed ? SEALED : null
  })
  const consumer = index % 3 === 0 ? "timer" : "orchestration"
  const waiting = { ...key, consumer, seq: Number(lastInsertRowid), attempts: 1 }
  if (message.waits === "delivery") insert("deliveries", { ...waiting, available_at: 0 })
  if (message.waits !== "dead letter") return
  insert("dead_letters", { ...waiting, type: message.type, error: "e", died_at: timeOf(message.letterAge) })
}
