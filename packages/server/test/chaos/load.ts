import { callsOf, json, type Reference, type Submission, sideBySide } from "../client.ts"
import type { PlannedCall } from "./plan.ts"

const CLIENTS = 16
const RETRY_AFTER_MS = 10
/** The service asks to try again later. */
const UNAVAILABLE = 503
/** A client gives up when the service has not answered for so long. */
const ANSWER_MS_MAX = 60_000

/** What a client knows in the end. */
export interface Receipt {
  readonly call: PlannedCall
  /** `null` when there was no answer. */
  readonly serviceCallId: string | null
  /** What the service said of the cancellation; `null` when it was not asked, or left it open. */
  readonly isCancelled: boolean | null
  /** Milliseconds since 1970; `null` is now. */
  readonly dueAt: number | null
}

interface Answer {
  readonly status: number
  readonly text: string
}

/** Many clients that submit the planned calls, as many as are released, to a service that comes and goes. */
export class Load implements Disposable {
  readonly receipts: Array<Receipt> = []
  /** Answers that should not have come. */
  readonly problems: Array<string> = []
  /** Settles when every call is submitted. */
  readonly done: Promise<void>
  /** Called for each new call as soon as it is acknowledged. */
  onAcknowledged = (): void => {}
  /** Where the service is; `undefined` while it is away, so that nobody else gets what is meant for it. */
  url: string | undefined
  readonly #targetUrl: string
  #isClosed = false
  #released = 0
  #isReleased = Promise.withResolvers<void>()

  constructor(calls: ReadonlyArray<PlannedCall>, targetUrl: string) {
    this.#targetUrl = targetUrl
    this.done = sideBySide(calls, CLIENTS, async (call) => {
      while (call.number >= this.#released) await this.#isReleased.promise
      this.receipts.push(await this.#submit(call))
    })
  }

  /** Lets the clients submit this many calls, counted from the first. */
  release(count: number): void {
    this.#released = count
    this.#isReleased.resolve()
    this.#isReleased = Promise.withResolvers<void>()
  }

  /** Sends the clients home. */
  [Symbol.dispose](): void {
    this.#isClosed = true
    this.release(Number.POSITIVE_INFINITY)
  }

  async #submit(call: PlannedCall): Promise<Receipt> {
    const { number, key, method, tenant, dueInMs, timeoutMs, onUnknown } = call
    const dueAt = dueInMs === null ? null : Date.now() + dueInMs
    const submission: Submission = {
      name: nameOf(call),
      requestSpec: {
        method,
        url: `${this.#targetUrl}/${number}`,
        ...(method === "GET" ? {} : { body: `${number}` })
      },
      timeoutMs,
      ...(dueAt === null ? {} : { dueAt: new Date(dueAt).toISOString() }),
      ...(onUnknown === "resend" ? { onUnknown, targetIsIdempotent: true } : {})
    }
    const init = json(submission, key === null ? {} : { "idempotency-key": key })
    const receipt = { call, dueAt, serviceCallId: null, isCancelled: null }
    const answer = await (key === null ? this.#once(callsOf(tenant), init) : this.#untilAnswered(callsOf(tenant), init))
    if (answer === undefined || answer.status === UNAVAILABLE) return receipt
    if (answer.status !== 202 && !(answer.status === 200 && key !== null)) {
      this.#report(call, "submission", answer)
      return receipt
    }
    this.onAcknowledged()
    const reference: Reference = JSON.parse(answer.text)
    const { serviceCallId } = reference

    if (call.isRepeated && key !== null) {
      const again = await this.#untilAnswered(callsOf(tenant), init)
      if (again?.status !== 200 || !again.text.includes(serviceCallId)) this.#report(call, "repeated submission", again)
    }
    const isCancelled = call.cancelAfterMs === null ? null : await this.#cancel(call, serviceCallId, call.cancelAfterMs)
    return { ...receipt, serviceCallId, isCancelled }
  }

  async #cancel(call: PlannedCall, serviceCallId: string, afterMs: number): Promise<boolean | null> {
    await Bun.sleep(afterMs)
    const path = `${callsOf(call.tenant)}/${serviceCallId}/cancel`
    const answer = await this.#untilAnswered(path, json({ reason: "chaos" }))
    if (answer?.status === 200) return true
    if (answer?.status === 409) return false
    if (answer?.status !== 202) this.#report(call, "cancellation", answer)
    return null
  }

  async #untilAnswered(path: string, init: RequestInit): Promise<Answer | undefined> {
    const startedAt = performance.now()
    while (!this.#isClosed && performance.now() - startedAt < ANSWER_MS_MAX) {
      const answer = await this.#once(path, init)
      if (answer !== undefined && answer.status !== UNAVAILABLE) return answer
      await Bun.sleep(RETRY_AFTER_MS)
    }
    this.problems.push(`no answer within ${ANSWER_MS_MAX} ms: ${path}`)
    return undefined
  }

  async #once(path: string, init: RequestInit): Promise<Answer | undefined> {
    while (this.url === undefined && !this.#isClosed) await Bun.sleep(RETRY_AFTER_MS)
    try {
      // Not on a pooled connection: there Bun itself may send a request twice.
      const response = await fetch(`${this.url}${path}`, { ...init, keepalive: false })
      return { status: response.status, text: await response.text() }
    } catch {
      return undefined
    }
  }

  /** An answer that should not have come. That there was none has been said. */
  #report(call: PlannedCall, what: string, answer: Answer | undefined): void {
    if (answer !== undefined) {
      this.problems.push(`${nameOf(call)}: its ${what} was answered ${answer.status} ${answer.text}`)
    }
  }
}

/** By it a call is found whose submission got no answer. */
export const nameOf = ({ number }: Pick<PlannedCall, "number">): string => `call ${number}`
