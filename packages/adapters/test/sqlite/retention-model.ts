import type { Retention } from "../../src/sqlite/retention.ts"
import { DAY_MS, hasEnded, keyOf, nameOf, type StoredCall } from "./retention-world.ts"

/** What is left, as sorted names. */
export interface Left {
  readonly calls: ReadonlyArray<string>
  readonly submissions: ReadonlyArray<string>
  readonly sealed: ReadonlyArray<string>
  readonly messages: ReadonlyArray<string>
  readonly sealedMessages: ReadonlyArray<string>
  readonly deadLetters: ReadonlyArray<string>
}

/** What has to be left of the calls. */
export const expectedLeft = (calls: ReadonlyArray<StoredCall>, retention: Retention): Left => {
  const left = calls.map((call, index) => leftOf(call, index, retention))
  const all = (of: (one: Left) => ReadonlyArray<string>) => left.flatMap(of).sort()
  return {
    calls: all(({ calls }) => calls),
    submissions: all(({ submissions }) => submissions),
    sealed: all(({ sealed }) => sealed),
    messages: all(({ messages }) => messages),
    sealedMessages: all(({ sealedMessages }) => sealedMessages),
    deadLetters: all(({ deadLetters }) => deadLetters)
  }
}

const leftOf = (call: StoredCall, index: number, retention: Retention): Left => {
  const isPast = (age: number, timeMs: number | null) => timeMs !== null && age * DAY_MS >= timeMs
  const { finishedMs, eventsMs, deadLettersMs, keptRequestsMs } = retention
  const key = keyOf(index)
  const name = `${key.tenant_id}/${key.service_call_id}`

  const isDead = (message: StoredCall["messages"][number]) =>
    message.waits === "dead letter" && !isPast(message.letterAge, deadLettersMs)
  const isWaiting = (message: StoredCall["messages"][number]) => message.waits === "delivery" || isDead(message)
  const wasCall = call.status !== "only submission"
  const isDeleted =
    hasEnded(call) && isPast(call.endAge, finishedMs) && !call.hasOpenAttempt && !call.messages.some(isWaiting)
  const isCall = wasCall && !isDeleted
  const isLost = !wasCall && !call.messages.slice(0, 1).some(isWaiting) && isPast(call.age, finishedMs)
  // Messages of calls that are gone are looked for a quarter later.
  const isSeen = (age: number) => isPast(age, eventsMs) || isPast(age, finishedMs === null ? null : finishedMs * 1.25)
  const isLostAndSeen = isLost && isSeen(call.age)
  const hasSubmission = isCall || (!wasCall && !isLostAndSeen)

  const mayGo = (message: StoredCall["messages"][number]): boolean => {
    if (isWaiting(message) || !isSeen(message.age)) return false
    if (isCall) {
      const hasSealed = message.hasSealed && message.waits !== "dead letter"
      return isPast(message.age, eventsMs) && (!hasSealed || hasEnded(call))
    }
    if (hasSubmission && message.type === "SubmitServiceCall") return false
    return isPast(message.age, eventsMs) || (!hasSubmission && isPast(message.age, finishedMs))
  }
  const isErased = !hasEnded(call) ? false : !call.isKept || isPast(call.endAge, keptRequestsMs)
  const isErasedEverywhere = isDeleted || (hasEnded(call) && call.isKept && isErased)
  const messages = call.messages.filter((message) => !mayGo(message))
  return {
    calls: isCall ? [name] : [],
    submissions: hasSubmission ? [name] : [],
    sealed: isCall && !isErased ? [name] : [],
    messages: messages.map((message) => nameOf(index, message)),
    sealedMessages: isErasedEverywhere
      ? []
      : messages
          .filter((message) => message.hasSealed && (message.waits !== "dead letter" || isDead(message)))
          .map((message) => nameOf(index, message)),
    deadLetters: call.messages.filter(isDead).map((message) => nameOf(index, message))
  }
}
