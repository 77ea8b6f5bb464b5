import type { Arrival } from "../counting-target.ts"
import type { SeenEvent } from "../nats/streams.ts"
import { broken } from "./violations.ts"

/** An attempt as the database has it. Times are milliseconds since 1970. */
export interface StoredAttempt {
  readonly service_call_id: string
  readonly number: number
  /** 1 when an executor elsewhere performed it. */
  readonly is_remote: number
  readonly started_at: number
  readonly deadline_at: number
  /** JSON. */
  readonly outcome: string | null
  /** The same, of what came after the end. */
  readonly evidence: string | null
}

/** A message of the outbox that everybody may read. */
export interface StoredEvent {
  readonly seq: number
  readonly message_id: string
  readonly type: string
  readonly service_call_id: string
}

/** What there is to see beside what every kill harness looks at. */
export interface ObservedElsewhere {
  readonly attempts: ReadonlyArray<StoredAttempt>
  readonly arrivals: ReadonlyMap<string, ReadonlyArray<Pick<Arrival, "arrivedAt">>>
  /** In the order of their seq. */
  readonly events: ReadonlyArray<StoredEvent>
  /** What somebody outside has read, in that order. */
  readonly seen: ReadonlyArray<SeenEvent>
  /** First attempts that may have been lost with their executors. */
  readonly lostMax: number
}

/** From the last look at the clock before a send to its arrival. */
const ARRIVAL_MS_MAX = 1_000
/** Two clocks are compared when the service has restarted, and both are read in whole milliseconds. */
export const CLOCK_MS_MAX = 5

interface Outcome {
  readonly finishedAt: string
  readonly errorMeta?: { readonly kind: string }
}

/** A sentence for each broken promise about executors, and about what somebody outside can read. */
export const violationsElsewhere = (observed: ObservedElsewhere): ReadonlyArray<string> => {
  const { attempts, arrivals, events, seen, lostMax } = observed
  const attemptsOf = Map.groupBy(attempts, (attempt) => attempt.service_call_id)
  const lost = attempts.filter((attempt) => attempt.is_remote === 1 && isUnknown(attempt)).length
  return [
    ...attempts.flatMap((attempt) =>
      attemptProblems(attempt).map((problem) => `attempt ${attempt.number} of ${attempt.service_call_id}: ${problem}`)
    ),
    ...[...arrivals].flatMap(([id, requests]) =>
      requestProblems(attemptsOf.get(id) ?? [], requests).map((problem) => `${id}: ${problem}`)
    ),
    ...broken(lost > lostMax, `${lost} attempts of executors are unknown, which cannot have lost more than ${lostMax}`),
    ...eventProblems(events, seen)
  ]
}

/** Whether nobody said in time what became of it. */
export const isUnknown = ({ outcome }: StoredAttempt): boolean =>
  outcome !== null && parse(outcome).errorMeta?.kind === "OutcomeUnknown"

const attemptProblems = (attempt: StoredAttempt): ReadonlyArray<string> => {
  const { number, is_remote, deadline_at, outcome } = attempt
  if (outcome === null) return ["it is open"]
  const earlyMs = deadline_at - CLOCK_MS_MAX - Date.parse(parse(outcome).finishedAt)
  return [
    ...broken(is_remote !== (number === 1 ? 1 : 0), `performed ${is_remote === 1 ? "elsewhere" : "by the service"}`),
    ...broken(
      is_remote === 1 && isUnknown(attempt) && earlyMs > 0,
      `called unknown ${earlyMs} ms before its lease ended`
    )
  ]
}

const requestProblems = (
  attempts: ReadonlyArray<StoredAttempt>,
  requests: ReadonlyArray<Pick<Arrival, "arrivedAt">>
): ReadonlyArray<string> => [
  ...broken(requests.length > attempts.length, `${requests.length} requests of ${attempts.length} attempts`),
  ...requests.flatMap(({ arrivedAt }) => {
    const isLeased = attempts.some(
      ({ started_at, deadline_at }) => arrivedAt >= started_at && arrivedAt <= deadline_at + ARRIVAL_MS_MAX
    )
    const leases = attempts.map(
      ({ started_at, deadline_at }) => `${started_at - arrivedAt} to ${deadline_at - arrivedAt}`
    )
    return broken(!isLeased, `a request outside of every lease, which are from ${leases.join(" and ")} ms after it`)
  })
]

/** Of what is there more than once, the first counts: so it is for a reader who leaves out what it knows. */
const eventProblems = (events: ReadonlyArray<StoredEvent>, seen: ReadonlyArray<SeenEvent>): ReadonlyArray<string> => {
  const firsts = new Map<string, SeenEvent>()
  for (const event of seen) if (!firsts.has(event.messageId)) firsts.set(event.messageId, event)
  const seenOf = Map.groupBy(firsts.values(), (event) => event.serviceCallId)
  const storedOf = Map.groupBy(events, (event) => event.service_call_id)
  const told = (all: ReadonlyArray<string> | undefined): string => (all ?? []).join(", ") || "nothing"
  return [...new Set([...storedOf.keys(), ...seenOf.keys()])].flatMap((id) => {
    const found = told(seenOf.get(id)?.map(({ seq, type, messageId }) => `${seq} ${type} ${messageId}`))
    const wanted = told(storedOf.get(id)?.map(({ seq, type, message_id }) => `${seq} ${type} ${message_id}`))
    return broken(found !== wanted, `events of ${id} outside: ${found}; in the outbox: ${wanted}`)
  })
}

const parse = (json: string): Outcome => JSON.parse(json)
