import { ATTEMPT_GRACE_MS } from "@event-service-agent/execution/domain/attempt"
import type { CallRow, MessageRow } from "./disk.ts"
import { placesViolations } from "./places.ts"
import type { Send } from "./target.ts"
import type { PlannedCall } from "./workload.ts"
import type { Command, World } from "./world.ts"

/** Milliseconds by which an attempt that nobody ends may outlive its deadline: the sweep's interval, and some work. */
const SWEEP_MS = 1_500

/** What the checks read of payloads. */
interface Payload {
  readonly attempt?: number
  readonly latenessMs?: number | null
  readonly tags?: ReadonlyArray<string>
  readonly reason?: string | null
  readonly responseMeta?: { readonly status: number }
  readonly errorMeta?: { readonly kind: string; readonly sent: "no" | "maybe" | "yes"; readonly status?: number }
}

export interface Message extends Omit<MessageRow, "payload"> {
  readonly payload: Payload
  /** Milliseconds of the simulator. */
  readonly committedAt: number
}

/** All that there is to know about a call. */
export interface Story {
  readonly call: PlannedCall
  readonly row: CallRow
  /** In the order of their commits. */
  readonly messages: ReadonlyArray<Message>
  readonly commands: ReadonlyArray<Command>
  readonly sends: ReadonlyArray<Send>
}

/** A sentence for each promise that this world has seen broken. */
export const violationsOf = (world: World): ReadonlyArray<string> => {
  const messages = readMessages(world)
  const rows = new Map(world.disk.calls().map((row) => [row.service_call_id, row]))
  const stories: Array<Story> = []
  const lost: Array<string> = []
  for (const call of world.plan.calls) {
    const row = rows.get(call.key.serviceCallId)
    if (row === undefined) lost.push(`call ${call.number}: it was accepted and is lost`)
    else {
      const own = messages.filter((message) => message.service_call_id === row.service_call_id)
      const commands = world.commands.filter(({ serviceCallId }) => serviceCallId === row.service_call_id)
      const sends = world.target.sends.filter((send) => send.call === call.number)
      stories.push({ call, row, messages: own, commands, sends })
    }
  }
  return [
    ...world.alarms,
    ...lost,
    ...world.disk.deadLetters().map(({ type, error }) => `${type} is a dead letter: ${error}`),
    ...unless(world.disk.openRows() === 0, `${world.disk.openRows()} rows are still to be worked on`),
    ...unless(world.disk.sealedForResend() === 0, "an attempt still has a sealed request"),
    ...placesViolations(world, stories),
    ...stories.flatMap((story) =>
      [
        ...eventViolations(story),
        ...stateViolations(story),
        ...attemptViolations(story),
        ...sendViolations(story, world),
        ...outcomeViolations(story, world),
        ...cancelViolations(story),
        ...timeViolations(story, world)
      ].map((violation) => `call ${story.call.number}: ${violation}`)
    )
  ]
}

const readMessages = ({ disk, commits }: World): ReadonlyArray<Message> =>
  disk.messages().map((row) => ({
    ...row,
    payload: JSON.parse(row.payload),
    committedAt: commits.find(({ seq }) => seq >= row.seq)?.at ?? Number.NaN
  }))

const ENDS = ["ServiceCallSucceeded", "ServiceCallFailed", "ServiceCallCancelled"]

/** Each revision has its event, in order, along the state machine. */
const eventViolations = ({ messages }: Story) => {
  const events = messages.filter(({ type }) => type.startsWith("ServiceCall"))
  const states = events.filter(({ type }) => type !== "ServiceCallTagsChanged").map(({ type }) => type.slice(11))
  const isForward = /^Submitted Scheduled (Cancelled|Running (Succeeded|Failed))$/.test(states.join(" "))
  return [
    ...unless(isForward, `its states were ${states.join(", ")}`),
    ...unless(
      events.every(({ version }, index) => version === index + 1),
      `its revisions were ${events.map(({ version }) => version).join(", ")}`
    ),
    ...unless(
      new Set(messages.map((message) => message.correlation_id)).size === 1,
      "its messages do not belong together"
    )
  ]
}

/** The stored state is what its events say. */
const stateViolations = ({ row, call, messages, commands }: Story) => {
  const events = messages.filter(({ type }) => type.startsWith("ServiceCall"))
  const end = events.find(({ type }) => ENDS.includes(type))
  const { responseMeta, errorMeta, reason = null, latenessMs = null } = end?.payload ?? {}
  const told = {
    status: end?.type.slice(11),
    revision: events.length,
    tags: events.findLast(({ payload }) => payload.tags !== undefined)?.payload.tags,
    attempt: messages.findLast(({ type }) => type === "ExecutionStarted")?.payload.attempt ?? null,
    lateness: latenessMs,
    outcome: responseMeta ?? errorMeta ?? reason
  }
  const stored = {
    status: row.status,
    revision: row.revision,
    tags: JSON.parse(row.tags),
    attempt: row.attempt,
    lateness: row.lateness_ms,
    outcome: JSON.parse(row.outcome ?? "null")
  }
  const order = commands.findLast(({ type }) => type === "SetServiceCallTags")
  const asked = order !== undefined && "tags" in order.payload ? order.payload.tags : ["new"]
  const sealed = messages.filter((message) => message.sealed !== null).length
  return [
    ...unless(Bun.deepEquals(told, stored), `stored is ${JSON.stringify(stored)}, told ${JSON.stringify(told)}`),
    ...unless(Bun.deepEquals(asked, stored.tags), `its tags are ${stored.tags}, asked for were ${asked} last`),
    ...unless((row.sealed !== null) === call.keepRequest, "its sealed request was not erased, or not kept"),
    ...unless(call.keepRequest || sealed === 0, "a message of it still has the sealed request")
  ]
}

/** Each attempt starts once and ends once, and the call ends as the last one did. */
const attemptViolations = ({ messages, call, row }: Story) => {
  const told = messages.filter(({ type }) => type.startsWith("Execution"))
  const text = told.map(({ type, payload }) => `${type.slice(9)} ${payload.attempt}`).join(", ")
  const expected =
    row.status === "Cancelled"
      ? /^$/
      : call.onUnknown === "resend"
        ? /^Started 1, (Succeeded 1|Failed 1|Started 2, (Succeeded|Failed) 2)$/
        : /^Started 1, (Succeeded|Failed) 1$/
  const last = told.at(-1)?.payload
  const end = messages.find(({ type }) => ENDS.includes(type))?.payload
  return [
    ...unless(expected.test(text), `its attempts were: ${text}`),
    ...unless(
      Bun.deepEquals([last?.responseMeta, last?.errorMeta], [end?.responseMeta, end?.errorMeta]),
      "its end is not that of its attempt"
    )
  ]
}

/** The request leaves seldom enough, not too early, only after a durable claim, and within that claim's lease. */
const sendViolations = ({ sends, messages, call, row }: Story, world: World) => {
  const most = call.onUnknown === "resend" ? 2 : 1
  const key = call.idempotencyKey ?? row.service_call_id
  const claims = messages.filter(({ type }) => type === "ExecutionStarted")
  const leaseMs = call.timeoutMs + ATTEMPT_GRACE_MS
  const [first, second] = claims.map(({ committedAt }) => committedAt)
  const isTakenOver = world.starts.some(({ at }) => at >= (first ?? 0) && at <= (second ?? 0))
  return [
    ...unless(
      sends.length <= Math.min(most, claims.length),
      `it was sent ${sends.length} times, for ${claims.length} claims`
    ),
    ...unless(
      sends.every((send) => send.idempotencyKey === key),
      "it was sent with another idempotency key"
    ),
    ...unless(
      sends.every((send) => send.wallMax >= row.due_at),
      "it was sent before its due time"
    ),
    ...unless(
      isTakenOver || first === undefined || second === undefined || second >= first + leaseMs,
      "it was claimed again while the first claim was valid"
    ),
    ...sends.flatMap((send, index) => {
      const claim = claims.findLast(({ seq }) => seq <= send.seq)
      if (claim === undefined) return [`send ${index + 1} had no durable claim`]
      const until = send.at + Math.max(1, send.timeoutMs)
      return unless(until <= claim.committedAt + leaseMs, `send ${index + 1} outlasts its lease`)
    })
  ]
}

/** What is said of the outcome is what the target has seen. */
const outcomeViolations = ({ row, sends, call, messages }: Story, world: World) => {
  const { responseMeta, errorMeta } = messages.find(({ type }) => ENDS.includes(type))?.payload ?? {}
  const received = sends.filter((send) => send.isReceived)
  const answered = (status: number | undefined) => received.some((send) => send.status === status)
  if (row.status === "Cancelled") return unless(sends.length === 0, "it was cancelled and sent")
  if (responseMeta !== undefined) {
    return unless(answered(responseMeta.status) && responseMeta.status < 300, "it succeeded without such an answer")
  }
  const text = `it failed with ${errorMeta?.kind}, sent: ${errorMeta?.sent}, and the target saw ${received.length}`
  const [claimedAt = 0, endedAt = 0] = ["ExecutionStarted", "ExecutionFailed"].map(
    (name) => messages.findLast(({ type }) => type === name)?.committedAt
  )
  const isLost = world.starts.some(({ at, isAfterDrain }) => !isAfterDrain && at >= claimedAt && at <= endedAt)
  const isStuck = call.behaviours.some(({ kind }) => kind === "stick")
  return [
    ...unless(errorMeta?.sent !== "no" || received.length === 0, text),
    ...unless(errorMeta?.sent !== "yes" || received.length > 0, text),
    ...unless(errorMeta?.kind !== "HttpStatus" || answered(errorMeta.status), text),
    ...unless(errorMeta?.kind !== "Timeout" || sends.length > 0, text),
    ...unless(errorMeta?.kind !== "OutcomeUnknown" || isLost || isStuck || world.hasFrozen, text)
  ]
}

/** A cancellation that comes before the due time is obeyed. */
const cancelViolations = ({ messages, commands, row }: Story) => {
  const find = (name: MessageRow["type"]) => messages.find(({ type }) => type === name)
  const cancel = commands.find(({ type }) => type === "CancelServiceCall")
  const due = find("DueTimeReached")
  const isLater = (find("ServiceCallSubmitted")?.timestamp ?? 0) < row.due_at
  const isInTime = isLater && cancel !== undefined && (due === undefined || cancel.afterSeq < due.seq)
  return unless(!isInTime || row.status === "Cancelled", `it was cancelled in time and ${row.status}`)
}

/** Nothing happens early, every timer fires once, and an attempt ends within its bound once nothing goes wrong. */
const timeViolations = ({ messages, commands, call, row }: Story, world: World) => {
  const early = messages.filter(
    ({ type, timestamp }) => (type === "DueTimeReached" || type === "ServiceCallRunning") && timestamp < row.due_at
  )
  const timers = commands.filter(({ type }) => type === "ScheduleTimer").length
  const fired = messages.filter(({ type }) => type === "DueTimeReached").length
  const running = messages.find(({ type }) => type === "ServiceCallRunning")
  const end = messages.find(({ type }) => ENDS.includes(type))
  const from = Math.max(running?.committedAt ?? Number.NaN, world.lastFaultAt)
  const attempts = call.onUnknown === "resend" ? 2 : 1
  const claim = messages.findLast(({ type }) => type === "ExecutionStarted")
  const isOrphan = claim !== undefined && claim.committedAt < (world.starts.at(-1)?.at ?? 0)
  // Of an attempt of an earlier process everybody knows that it is lost.
  const restMs = isOrphan ? SWEEP_MS : attempts * (call.timeoutMs + ATTEMPT_GRACE_MS + SWEEP_MS)
  const bound = from + restMs
  return [
    ...early.map(({ type }) => `${type} came early`),
    ...unless(fired <= timers, "its timer fired more than once"),
    ...unless(running === undefined || end === undefined || end.committedAt <= bound, "its attempt ended too late")
  ]
}

const unless = (isKept: boolean, violation: string): ReadonlyArray<string> => (isKept ? [] : [violation])
