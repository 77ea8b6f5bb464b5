import type { Problem } from "../lib/problem.ts"
import { type Detail, type Reference, STARRED, type Summary } from "../lib/wire.ts"
import { ask, callOf } from "./api.ts"
import { updateRow } from "./calls.ts"
import { say } from "./notices.ts"
import { refreshStats } from "./stats.ts"

/** Gives a call these tags. Shows them at once, and takes that back if it fails. */
export const setTags = async (
  { tenantId, serviceCallId, tags }: Pick<Summary, "tenantId" | "serviceCallId" | "tags">,
  wanted: ReadonlyArray<string>
): Promise<Problem | undefined> => {
  updateRow({ serviceCallId, tags: wanted })
  const answer = await ask<Detail | Reference>(`${callOf(tenantId, serviceCallId)}/tags`, {
    method: "PUT",
    body: { tags: wanted }
  })
  refreshStats()
  if (answer.ok) return undefined
  updateRow({ serviceCallId, tags })
  return answer.problem
}

export const toggleStar = async (call: Pick<Summary, "tenantId" | "serviceCallId" | "tags">): Promise<void> => {
  const isStarred = call.tags.includes(STARRED)
  const wanted = isStarred ? call.tags.filter((tag) => tag !== STARRED) : [...call.tags, STARRED]
  const problem = await setTags(call, wanted)
  if (problem === undefined) say(isStarred ? "The star is off" : "Starred")
  else say(`The star could not be changed: ${problem.detail || problem.title}`, "bad")
}

/** Cancels a call; the problem if it could not be. */
export const cancelCall = async ({
  tenantId,
  serviceCallId
}: Pick<Summary, "tenantId" | "serviceCallId">): Promise<Problem | undefined> => {
  const answer = await ask<Detail | Reference>(`${callOf(tenantId, serviceCallId)}/cancel`, {
    method: "POST",
    body: {}
  })
  return answer.ok ? undefined : answer.problem
}

/** Sends the request of a call again, as another call; its id, or the problem. */
export const resendCall = async ({
  tenantId,
  serviceCallId
}: Pick<Summary, "tenantId" | "serviceCallId">): Promise<string | Problem> => {
  const answer = await ask<Reference>(`${callOf(tenantId, serviceCallId)}/resend`, { method: "POST", body: {} })
  return answer.ok ? answer.value.serviceCallId : answer.problem
}
