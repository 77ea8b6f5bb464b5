import { effect, signal } from "@preact/signals"
import type { CurlRequest } from "../lib/curl.ts"
import {
  type Draft,
  draftFrom,
  emptyDraft,
  type Field,
  headerRow,
  placeOf,
  problemsOf,
  toSubmission,
  withoutSecrets
} from "../lib/draft.ts"
import { type FieldProblem, NO_ANSWER, type Problem } from "../lib/problem.ts"
import type { Detail, Reference } from "../lib/wire.ts"
import { ask, callsOf } from "./api.ts"
import { mayChange } from "./key.ts"
import { recall, remember } from "./memory.ts"
import { say } from "./notices.ts"
import { go, tenant } from "./route.ts"
import { type WatchedCall, watchCall } from "./watched-call.ts"

const DRAFT_KEY = "draft"
/** Seconds for which the service holds the answer back until the outcome is there. */
const WAIT_SECONDS = 20
const SAVE_MS = 300

/** The form keeps its idempotency key, so that a second submission is the same call. */
const NO_ANSWER_TO_CALL: Problem = {
  ...NO_ANSWER,
  detail: "Whether it got the call is not known. Send it again once the service is back: it stays one call."
}

const newKey = (): string => crypto.randomUUID()

/** What is in the form. */
export const draft = signal<Draft>(readDraft())
/** Since when the answer is awaited, in milliseconds since 1970; `undefined` while none is. */
export const sendingSince = signal<number | undefined>(undefined)
export const problem = signal<Problem | undefined>(undefined)
export const fieldProblems = signal<ReadonlyArray<FieldProblem>>([])
/** The call that was sent last. */
export const sent = signal<WatchedCall | undefined>(undefined)

function readDraft(): Draft {
  const fresh = emptyDraft(newKey())
  try {
    const known: Draft = { ...fresh, ...JSON.parse(recall("session", DRAFT_KEY) ?? "{}") }
    return { ...known, headers: known.headers.map((row) => headerRow(row.name, row.value, row.isRequired)) }
  } catch {
    return fresh
  }
}

export const change = (part: Partial<Draft>): void => {
  draft.value = { ...draft.value, ...part }
}

export const renewKey = (): void => change({ idempotencyKey: newKey() })

/** What is wrong with a field, or with the named part of it; without a part, with any. */
export const problemsAt = (field: Field, part?: string): ReadonlyArray<string> =>
  fieldProblems.value
    .filter((each) => {
      const place = placeOf(each)
      return place?.field === field && (part === undefined || place.part.toLowerCase() === part.toLowerCase())
    })
    .map(({ detail }) => detail)

/** What is wrong with nothing that is in the form. */
export const otherProblems = (): ReadonlyArray<FieldProblem> =>
  fieldProblems.value.filter((each) => placeOf(each) === undefined)

const start = (next: Draft) => {
  draft.value = next
  problem.value = undefined
  fieldProblems.value = []
}

export const clearDraft = (): void => {
  start(emptyDraft(newKey()))
  sent.peek()?.stop()
  sent.value = undefined
}

/** Fills the form; what is not named stays as it is when the form is empty. */
export const fillDraft = (part: Partial<Draft>): void => start({ ...emptyDraft(newKey()), ...part })

export const fillFromCurl = ({ method, url, headers, body, leftOut }: CurlRequest): void => {
  const rows = headers.map(([name, value]) => headerRow(name, value))
  start({ ...draft.peek(), method, url, headers: rows, body, isBodyRequired: false, idempotencyKey: newKey() })
  say(leftOut.length === 0 ? "Filled from curl" : `Filled from curl, without ${leftOut.join("; ")}`)
}

/** Goes to the form, filled with what is known of the call. */
export const cloneCall = (call: Detail): void => {
  clearDraft()
  start(draftFrom(call, newKey()))
  go({ view: "request", call: "" })
}

/** Sends what is in the form. Whatever becomes of it, the form stays as it is. */
export const send = async (): Promise<void> => {
  if (sendingSince.peek() !== undefined || !mayChange.peek()) return
  const sending = draft.peek()
  const of = tenant.peek()
  problem.value = undefined
  fieldProblems.value = problemsOf(sending)
  if (fieldProblems.value.length > 0) return focusProblem()
  sent.peek()?.stop()
  sent.value = undefined
  sendingSince.value = Date.now()
  const answer = await ask<Detail | Reference>(callsOf(of), {
    method: "POST",
    body: toSubmission(sending),
    headers: {
      "idempotency-key": sending.idempotencyKey.trim(),
      ...(sending.when === "now" ? { prefer: `wait=${WAIT_SECONDS}` } : {})
    }
  })
  sendingSince.value = undefined
  if (!answer.ok) {
    problem.value = answer.problem.status === 0 ? NO_ANSWER_TO_CALL : answer.problem
    fieldProblems.value = answer.problem.errors
    return focusProblem()
  }
  const { value } = answer
  sent.value = watchCall(of, value.serviceCallId, "request" in value ? value : undefined)
  // The next one is another call, even if nothing is changed.
  change({ idempotencyKey: newKey(), clonedFrom: null })
  if (answer.headers.get("idempotency-replayed") === "true") say("This key was used before: here is the call it made")
}

const focusProblem = () => {
  requestAnimationFrame(() => document.querySelector<HTMLElement>("form [aria-invalid=true]")?.focus())
}

export const startRequest = (): void => {
  let of = tenant.peek()
  effect(() => {
    if (tenant.value === of) return
    of = tenant.value
    // Another tenant knows neither the call that was sent nor the one it was made from.
    sent.peek()?.stop()
    sent.value = undefined
    draft.value = { ...draft.peek(), clonedFrom: null }
  })
  let timer: ReturnType<typeof setTimeout> | undefined
  const save = () => remember("session", DRAFT_KEY, JSON.stringify(withoutSecrets(draft.peek())))
  effect(() => {
    draft.value
    clearTimeout(timer)
    timer = setTimeout(save, SAVE_MS)
  })
  window.addEventListener("pagehide", save)
}
