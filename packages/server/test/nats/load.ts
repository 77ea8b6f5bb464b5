import { type Load, nameOf, type Receipt } from "../chaos/load.ts"
import { type PlannedCall, TENANTS } from "../chaos/plan.ts"
import { callsOf } from "../client.ts"
import { until } from "../until.ts"

const TIMEOUT_MS = 10_000
const DUE_IN_MS_MIN = 200
const DUE_IN_MS_MAX = 2_000
const POLL_MS = 10
const ANSWER_MS_MAX = 60_000
const UNAVAILABLE = 503

/** Half of them due at once and half within two seconds. Of the latter, one in five is cancelled. */
export const makeCalls = (count: number): ReadonlyArray<PlannedCall> =>
  Array.from({ length: count }, (_, number) => ({
    number,
    tenant: TENANTS[number % TENANTS.length] ?? "",
    key: `key-${number}`,
    method: "POST",
    dueInMs: number % 2 === 0 ? null : DUE_IN_MS_MIN + ((number * 97) % (DUE_IN_MS_MAX - DUE_IN_MS_MIN)),
    timeoutMs: TIMEOUT_MS,
    onUnknown: "fail",
    status: 200,
    answerAfterMs: 0,
    isRepeated: false,
    cancelAfterMs: number % 10 === 7 ? number % 100 : null
  }))

const isTagged = ({ number }: PlannedCall): boolean => number % 5 === 1

/** Gives some of the calls other tags as soon as they are submitted, until all are. Returns what went wrong. */
export const tagSome = async (load: Load, count: number): Promise<ReadonlyArray<string>> => {
  const answers: Array<Promise<ReadonlyArray<string>>> = []
  for (let next = 0; next < count; ) {
    const receipt = load.receipts[next]
    if (receipt === undefined) {
      await Bun.sleep(POLL_MS)
      continue
    }
    if (isTagged(receipt.call)) answers.push(tag(load, receipt))
    next++
  }
  return (await Promise.all(answers)).flat()
}

/** Until there is an answer: the service may be away, and says so or nothing. */
const tag = async (load: Load, { call, serviceCallId }: Receipt): Promise<ReadonlyArray<string>> => {
  const path = `${callsOf(call.tenant)}/${serviceCallId}/tags`
  const init = { method: "PUT", headers: { "content-type": "application/json" }, body: '{"tags":["later"]}' }
  const status = await until(
    "the tags are answered",
    async () => {
      if (load.url === undefined) return undefined
      const answer = await fetch(`${load.url}${path}`, { ...init, keepalive: false }).catch(() => undefined)
      return answer?.status === UNAVAILABLE ? undefined : answer?.status
    },
    ANSWER_MS_MAX
  )
  return status === 200 || status === 202 ? [] : [`the tags of ${nameOf(call)} were answered ${status}`]
}
