import { SubmissionStore } from "@event-service-agent/api/ports/submission-store"
import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { RequestVault } from "@event-service-agent/platform/request-vault"
import { Transaction } from "@event-service-agent/platform/transaction"
import { type OnUnknown, type RequestSpec, redactRequest } from "@event-service-agent/schemas/http-request"
import { CorrelationId, ServiceCallId, type ServiceCallKey, TenantId } from "@event-service-agent/schemas/ids"
import type { MessageDraft } from "@event-service-agent/schemas/messages/catalogue"
import { DateTime, Effect, Exit, Option } from "effect"
import type { Random } from "../random.ts"
import type { Services } from "./program.ts"
import type { Behaviour } from "./target.ts"
import type { World } from "./world.ts"

/** Milliseconds in which calls are submitted and trouble happens. */
export const BUSY_MS = 20_000
const DAY_MS = 86_400_000
const CALLS_MAX = 30
const RETRY_MS = 100
const PATIENCE_MS = 1_000

/** One call of the workload, with all that its client will ask for. Times are milliseconds. */
export interface PlannedCall {
  readonly number: number
  readonly key: ServiceCallKey
  readonly submitAt: number
  /** From the acceptance to the due time; 0 and less is now. */
  readonly dueInMs: number
  readonly timeoutMs: number
  readonly onUnknown: OnUnknown
  readonly keepRequest: boolean
  /** Sent by the caller in place of the agent's own. */
  readonly idempotencyKey: string | undefined
  /** What becomes of the first request, and of a second one. */
  readonly behaviours: ReadonlyArray<Behaviour>
  /** After the acceptance. */
  readonly cancelAfterMs: number | undefined
  readonly tagsAfterMs: ReadonlyArray<number>
}

export interface Plan {
  readonly caps: { readonly total: number; readonly perTenant: number }
  readonly calls: Array<PlannedCall>
}

export const makePlan = (random: Random): Plan => {
  const total = random.between(2, 5)
  const tenants = random.between(1, 3)
  const rush = random.between(1_000, BUSY_MS)
  const farMs = random.chance(0.4) ? random.between(1, 4_000) * DAY_MS : 0
  const calls = Array.from({ length: random.between(5, CALLS_MAX) }, (_, number) =>
    planCall(random, number, number % tenants, [rush, farMs])
  )
  return { caps: { total, perTenant: random.between(1, total) }, calls }
}

/** @param moments at which many calls are due */
const planCall = (random: Random, number: number, tenant: number, moments: ReadonlyArray<number>): PlannedCall => {
  const submitAt = random.between(0, BUSY_MS * 0.8)
  const dueInMs = random.pick([
    0,
    random.between(-1_000, 0),
    random.between(1, 200),
    random.between(1, 10_000),
    random.pick(moments) - submitAt,
    random.pick(moments) - submitAt
  ])
  const timeoutMs = random.pick([500, 1_000, 3_000, 10_000])
  const cancelAfterMs = random.pick([dueInMs + random.between(-30, 30), random.between(0, 10_000)])
  return {
    ...identityOf(number, tenant),
    submitAt,
    dueInMs,
    timeoutMs,
    onUnknown: random.chance(0.4) ? "resend" : "fail",
    keepRequest: random.chance(0.2),
    idempotencyKey: random.chance(0.2) ? `order ${number}` : undefined,
    behaviours: [planBehaviour(random, timeoutMs), planBehaviour(random, timeoutMs)],
    cancelAfterMs: random.chance(0.3) && cancelAfterMs < BUSY_MS ? Math.max(0, cancelAfterMs) : undefined,
    tagsAfterMs: Array.from({ length: random.pick([0, 0, 1, 3]) }, () => random.between(0, 10_000))
  }
}

const planBehaviour = (random: Random, timeoutMs: number): Behaviour => {
  const afterMs = random.pick([0, random.between(0, 100), random.between(0, timeoutMs * 1.2)])
  const answer = { kind: "answer", status: 200, afterMs } as const
  return random.pick<Behaviour>([
    answer,
    answer,
    answer,
    { ...answer, status: random.pick([201, 204, 302, 404, 500, 503]) },
    { kind: "hang" },
    { kind: "close", afterMs },
    { kind: "refuse" },
    { kind: "block" },
    { kind: "stick", status: random.pick([200, 500]), afterMs: timeoutMs + random.between(0, 10_000) }
  ])
}

/** A call that takes a second, to see whether it finds a place. */
export const planProbe = (number: number, tenant: number, dueInMs: number): PlannedCall => ({
  ...identityOf(number, tenant),
  submitAt: 0,
  dueInMs,
  timeoutMs: 10_000,
  onUnknown: "fail",
  keepRequest: false,
  idempotencyKey: undefined,
  behaviours: [{ kind: "answer", status: 200, afterMs: 1_000 }],
  cancelAfterMs: undefined,
  tagsAfterMs: []
})

const identityOf = (number: number, tenant: number) => ({
  number,
  key: { tenantId: TenantId.make(`tenant-${tenant}`), serviceCallId: ServiceCallId.make(uuid(number)) }
})
const uuid = (number: number) => `00000000-0000-7000-8000-${number.toString(16).padStart(12, "0")}`

/** The client of a call: asks until it is answered, as often as that takes. `onDone` is told when all is acknowledged. */
export const submit = (world: World, call: PlannedCall, onDone: () => void): void => {
  let open = 1
  const done = () => {
    open--
    if (open === 0) onDone()
  }
  const then = (afterMs: number, command: Command) => {
    open++
    world.simulator.after(afterMs, () => ask(world, publish(call, command), done))
  }
  ask(world, accept(call), () => {
    world.simulator.note(`accepted ${call.number}`)
    if (call.cancelAfterMs !== undefined)
      then(call.cancelAfterMs, { type: "CancelServiceCall", payload: { reason: null } })
    for (const [index, afterMs] of call.tagsAfterMs.entries()) {
      then(afterMs, { type: "SetServiceCallTags", payload: { tags: [`tag-${index}`] } })
    }
    done()
  })
}

/** Asks again after a refusal, and after a silence in which the process has died. */
const ask = <E>(world: World, request: Effect.Effect<void, E, Services>, onAnswer: () => void): void =>
  world.whenUp((process, services) => {
    const { simulator } = world
    let isAnswered = false
    process.fork(Effect.provideContext(request, services), (exit) => {
      isAnswered = true
      if (Exit.isSuccess(exit)) onAnswer()
      else simulator.after(RETRY_MS, () => ask(world, request, onAnswer))
    })
    const look = () => {
      if (isAnswered) return
      if (process.isAlive) simulator.after(PATIENCE_MS, look)
      else ask(world, request, onAnswer)
    }
    look()
  })

/** As the api does it: the submission and its command in one unit, once. */
const accept = Effect.fnUntraced(function* (call: PlannedCall) {
  const vault = yield* RequestVault
  const transaction = yield* Transaction
  const acceptedAt = yield* DateTime.now
  const spec: RequestSpec = {
    method: "POST",
    url: `https://target.example/calls/${call.number}`,
    body: "{}",
    ...(call.idempotencyKey === undefined ? {} : { headers: { "idempotency-key": call.idempotencyKey } })
  }
  const content = {
    name: `call ${call.number}`,
    acceptedAt,
    dueAt: DateTime.addDuration(acceptedAt, Math.max(0, call.dueInMs)),
    request: redactRequest(spec),
    tags: ["new"],
    timeoutMs: call.timeoutMs,
    onUnknown: call.onUnknown,
    clonedFrom: null
  }
  const sealed = yield* vault.seal(call.key, spec)
  const payload = { ...content, sealed, keepRequest: call.keepRequest }
  const record = Effect.gen(function* () {
    const store = yield* SubmissionStore
    const bus = yield* EventBusPort
    const { correlationId } = originOf(call)
    const earlier = yield* store.insert({ ...call.key, ...content, fingerprint: "", correlationId })
    if (Option.isSome(earlier)) return
    yield* bus.publish([{ ...originOf(call), timestamp: acceptedAt, type: "SubmitServiceCall", payload }])
  })
  yield* transaction.run(record)
})

type Command =
  | Pick<MessageDraft<"CancelServiceCall">, "type" | "payload">
  | Pick<MessageDraft<"SetServiceCallTags">, "type" | "payload">

const publish = Effect.fnUntraced(function* (call: PlannedCall, command: Command) {
  const transaction = yield* Transaction
  const bus = yield* EventBusPort
  const timestamp = yield* DateTime.now
  yield* transaction.run(bus.publish([{ ...originOf(call), timestamp, ...command }]))
})

const originOf = ({ key, number }: PlannedCall) => ({
  tenantId: key.tenantId,
  aggregateType: "Submission" as const,
  aggregateId: key.serviceCallId,
  version: 1,
  correlationId: CorrelationId.make(uuid(number + 0xffff_0000)),
  causationId: null
})
