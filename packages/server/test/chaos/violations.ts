import type { Detail, Summary } from "../client.ts"
import { TERMINAL } from "../client.ts"
import type { Arrival } from "../counting-target.ts"
import { nameOf, type Receipt } from "./load.ts"

/** A message about one call, as the outbox has it. */
export interface StoredMessage {
  readonly service_call_id: string
  readonly type: string
  readonly version: number
  /** Milliseconds since 1970. */
  readonly timestamp: number
}

/** What is there when all is over. */
export interface Observed {
  readonly receipts: ReadonlyArray<Receipt>
  /** What the target got, by Idempotency-Key, which is the id of the call. */
  readonly arrivals: ReadonlyMap<string, ReadonlyArray<Pick<Arrival, "arrivedAt" | "path">>>
  readonly listed: ReadonlyArray<Pick<Summary, "tenantId" | "serviceCallId">>
  /** Of the listed calls. */
  readonly details: ReadonlyArray<Detail>
  readonly submissions: ReadonlyArray<{ readonly tenant_id: string; readonly service_call_id: string }>
  /** In the order of their seq. */
  readonly messages: ReadonlyArray<StoredMessage>
  /** How many there are of what should be gone, by its name. */
  readonly leftovers: Readonly<Record<string, number>>
  /** What SQLite finds wrong with the file. */
  readonly damage: ReadonlyArray<unknown>
  /** Milliseconds since 1970. */
  readonly lastKillAt: number
  /** Of the last stop. */
  readonly exitCode: number | null
  /** Nothing takes as long as the process has to finish its sends when it stops. */
  readonly isDrained: boolean
}

/** Beyond its timeout, a call has ended so long after the last kill, or after its due time if that is later. */
export const END_MS_MAX = 10_000

const STATUS_OF: Readonly<Record<string, string>> = {
  ServiceCallSubmitted: "Submitted",
  ServiceCallScheduled: "Scheduled",
  ServiceCallRunning: "Running",
  ServiceCallSucceeded: "Succeeded",
  ServiceCallFailed: "Failed",
  ServiceCallCancelled: "Cancelled"
}
const LIVES: ReadonlySet<string> = new Set([
  "Submitted Scheduled Running Succeeded",
  "Submitted Scheduled Running Failed",
  "Submitted Scheduled Cancelled",
  "Submitted Cancelled"
])

/** The target answers, in its time or too late; everything else is for the service to say. */
const FAILURES: ReadonlySet<string> = new Set(["HttpStatus", "Timeout", "OutcomeUnknown"])

/** A sentence for each broken promise. */
export const violationsOf = (observed: Observed): ReadonlyArray<string> => {
  const { receipts, arrivals, listed, details, submissions, messages, leftovers, damage, exitCode } = observed
  const byName = new Map(receipts.map((receipt) => [nameOf(receipt.call), receipt]))
  const messagesOf = Map.groupBy(messages, (message) => message.service_call_id)
  const listedKeys = new Set(listed.map((call) => `${call.tenantId}/${call.serviceCallId}`))
  const storedKeys = new Set(submissions.map((row) => `${row.tenant_id}/${row.service_call_id}`))
  const listedIds = new Set(listed.map((call) => call.serviceCallId))

  return [
    ...receipts.flatMap(({ call, serviceCallId }) => {
      if (serviceCallId === null) return []
      const key = `${call.tenant}/${serviceCallId}`
      return [
        ...broken(!listedKeys.has(key), `${nameOf(call)} (${key}) was acknowledged and is missing in the list`),
        ...broken(!storedKeys.has(key), `${nameOf(call)} (${key}) was acknowledged and has no submission`)
      ]
    }),
    ...broken(listedKeys.size !== listed.length, "the list shows a call twice"),
    ...broken(listedKeys.size !== storedKeys.size, `${storedKeys.size} submissions, but ${listedKeys.size} calls`),
    ...repeated(details.map((detail) => detail.name)).map((name) => `${name} was submitted once and is there twice`),
    ...[...arrivals.keys()].filter((id) => !listedIds.has(id)).map((id) => `a request for ${id}, which is no call`),
    ...details.flatMap((detail) => {
      const problems = [
        ...callProblems(detail, byName.get(detail.name), observed),
        ...requestProblems(detail, arrivals.get(detail.serviceCallId) ?? [], observed.isDrained),
        ...messageProblems(detail, messagesOf.get(detail.serviceCallId) ?? [])
      ]
      return problems.map((problem) => `${detail.name} (${detail.tenantId}/${detail.serviceCallId}): ${problem}`)
    }),
    ...Object.entries(leftovers).flatMap(([what, count]) => broken(count > 0, `left over: ${count} ${what}`)),
    ...broken(exitCode !== 0, `the last stop ended with code ${exitCode}`),
    ...damage.map((found) => `the database is damaged: ${JSON.stringify(found)}`)
  ]
}

const callProblems = (
  detail: Detail,
  receipt: Receipt | undefined,
  { lastKillAt }: Observed
): ReadonlyArray<string> => {
  if (receipt === undefined) return ["nobody submitted it"]
  const { call, serviceCallId, isCancelled, dueAt } = receipt
  const { status, finishedAt, failure } = detail
  const endsBefore = Math.max(lastKillAt, Date.parse(detail.dueAt)) + detail.timeoutMs + END_MS_MAX
  const lateMs = (finishedAt === null ? Date.now() : Date.parse(finishedAt)) - endsBefore
  return [
    ...broken(serviceCallId !== null && serviceCallId !== detail.serviceCallId, `acknowledged as ${serviceCallId}`),
    ...broken(call.tenant !== detail.tenantId, `submitted by ${call.tenant}`),
    ...broken(dueAt !== null && Date.parse(detail.dueAt) < dueAt, `due ${detail.dueAt}, earlier than asked for`),
    ...broken(status === "Succeeded" && call.status >= 300, `it Succeeded, and the target answered ${call.status}`),
    ...broken(failure?.kind === "HttpStatus" && call.status < 300, `it Failed, and the target answered ${call.status}`),
    ...broken(failure !== null && !FAILURES.has(failure.kind), `nothing here fails with ${failure?.kind}`),
    ...broken(!TERMINAL.has(status) || finishedAt === null, `it is still ${status}`),
    ...broken(lateMs > 0, `ended ${lateMs} ms too late`),
    ...broken(isCancelled === true && status !== "Cancelled", `the cancellation was accepted, and it is ${status}`),
    ...broken(isCancelled === false && status === "Cancelled", "the cancellation was refused, and it is Cancelled"),
    ...broken(status === "Cancelled" && call.cancelAfterMs === null, "nobody cancelled it"),
    ...detail.problems.map(({ consumer, error }) => `${consumer} gave up: ${error}`)
  ]
}

const requestProblems = (
  { serviceCallId, status, dueAt, failure, onUnknown }: Detail,
  arrivals: ReadonlyArray<Pick<Arrival, "arrivedAt" | "path">>,
  isDrained: boolean
): ReadonlyArray<string> => {
  const count = arrivals.length
  const max = status === "Cancelled" ? 0 : onUnknown === "resend" && !isDrained ? 2 : 1
  const isCertain = status === "Succeeded" || failure?.kind === "HttpStatus"
  return [
    ...broken(count > max, `${count} requests, at most ${max} allowed`),
    ...broken(isCertain && count === 0, `${status} ${failure?.kind ?? ""} without a request`),
    ...broken(failure !== null && failure.sent === "no" && count > 0, "sent: no, and the target got a request"),
    ...broken(failure?.kind === "OutcomeUnknown" && failure.sent !== "maybe", `unknown, and sent: ${failure?.sent}`),
    ...broken(failure?.kind === "OutcomeUnknown" && isDrained, "OutcomeUnknown, though every send had time to end"),
    ...arrivals.flatMap(({ arrivedAt, path }) => {
      const earlyMs = Date.parse(dueAt) - arrivedAt
      return broken(earlyMs > 0, `${path} of ${serviceCallId} came ${earlyMs} ms early`)
    })
  ]
}

const messageProblems = (
  { status, history, onUnknown, attempt }: Detail,
  messages: ReadonlyArray<StoredMessage>
): ReadonlyArray<string> => {
  const events = messages.filter(({ type }) => type.startsWith("ServiceCall"))
  const states = events.flatMap(({ type, timestamp }) => {
    const state = STATUS_OF[type]
    return state === undefined ? [] : { status: state, at: timestamp }
  })
  const life = states.map((state) => state.status).join(" ")
  const told = history.map((step) => ({ status: step.status, at: Date.parse(step.at) }))
  const ends = states.filter((state) => TERMINAL.has(state.status)).length
  const versions = events.map((event) => event.version)
  const starts = messages.filter(({ type }) => type === "ExecutionStarted").length
  const outcomes = messages.filter(({ type }) => type === "ExecutionSucceeded" || type === "ExecutionFailed").length
  const hasRun = states.some((state) => state.status === "Running")
  return [
    ...broken(ends !== 1, `${ends} terminal events`),
    ...broken(!LIVES.has(life), `events in this order: ${life}`),
    ...broken(states.at(-1)?.status !== status, `the last event says ${states.at(-1)?.status}, the detail ${status}`),
    ...broken(
      versions.some((version, index) => version !== index + 1),
      `revisions in this order: ${versions.join(" ")}`
    ),
    ...broken(!Bun.deepEquals(told, states), `the history says ${JSON.stringify(told)}, the events ${life}`),
    ...broken(starts > (onUnknown === "resend" ? 2 : 1), `${starts} attempts`),
    ...broken(starts !== (attempt?.number ?? 0), `${starts} attempts, and the detail knows ${attempt?.number ?? 0}`),
    ...broken(hasRun ? outcomes !== 1 : starts + outcomes > 0, `${starts} attempts and ${outcomes} outcomes`)
  ]
}

export const broken = (isBroken: boolean, problem: string): ReadonlyArray<string> => (isBroken ? [problem] : [])

const repeated = (names: ReadonlyArray<string>): ReadonlyArray<string> =>
  [...Map.groupBy(names, (name) => name)].flatMap(([name, all]) => (all.length > 1 ? name : []))
