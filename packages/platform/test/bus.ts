import type { MessageDraft } from "@event-service-agent/schemas/messages/catalogue"
import { type Duration, Effect, Queue } from "effect"
import { TestClock } from "effect/testing"
import { EventBusPort } from "../src/event-bus.ts"
import type { Outbox } from "../src/outbox.ts"
import { Transaction, UnitOfWork } from "../src/transaction.ts"
import { everyMessage, numberOf } from "./messages.ts"
import { settle } from "./testing.ts"

/** What a test of the bus runs with. */
export type Ports = EventBusPort | Outbox | Transaction

export const advance = (duration: Duration.Input) =>
  Effect.andThen(settle, Effect.andThen(TestClock.adjust(duration), settle))

/** Publishes the messages in a unit of their own. */
export const publish = Effect.fnUntraced(function* (...drafts: ReadonlyArray<MessageDraft>) {
  const bus = yield* EventBusPort
  const transaction = yield* Transaction
  yield* transaction.run(bus.publish(drafts))
})

/**
 * Subscribes orchestration and records what took effect. A message in `poison` fails as long as it is there, one in
 * `failsOnce` at its first try: then the unit that publishes it runs again, and all that is in it is delivered later.
 */
export const record = Effect.fnUntraced(function* (
  poison: ReadonlySet<number> = new Set(),
  failsOnce: Set<number> = new Set()
) {
  const bus = yield* EventBusPort
  const handled = yield* Queue.unbounded<number>()
  const tries: Array<number> = []
  yield* bus.subscribe(
    "orchestration",
    everyMessage(
      Effect.fnUntraced(function* (message) {
        const number = numberOf(message)
        tries.push(number)
        if (poison.has(number)) return yield* Effect.fail(new Error(`poison ${number}`))
        if (failsOnce.delete(number)) return yield* Effect.fail(new Error(`once ${number}`))
        const unit = yield* UnitOfWork
        unit.afterCommit(Effect.asVoid(Queue.offer(handled, number)))
      })
    )
  )
  return { handled, tries }
})
