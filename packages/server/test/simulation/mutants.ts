import { AttemptStore } from "@event-service-agent/execution/ports/attempt-store"
import { ServiceCallRepository } from "@event-service-agent/orchestration/ports/service-call-repository"
import { Outbox } from "@event-service-agent/platform/outbox"
import { Transaction, UnitOfWork } from "@event-service-agent/platform/transaction"
import { TimerStore } from "@event-service-agent/timer/ports/timer-store"
import { Context, DateTime, Effect } from "effect"
import type { Mutant } from "./program.ts"

/** Mistakes by what they do, with a promise that each breaks. */
export const mutants: Readonly<Record<string, { readonly breaks: RegExp; readonly mutant: Mutant }>> = {
  "a claim that always says it was the first": {
    breaks: /was sent \d+ times/,
    mutant: (storage) => {
      const store = Context.get(storage, AttemptStore)
      return Context.add(storage, AttemptStore, {
        ...store,
        claim: (attempt) => Effect.as(store.claim(attempt), true)
      })
    }
  },

  "an outcome that is recorded although the attempt has ended": {
    breaks: /its end is not that of its attempt/,
    mutant: (storage) => {
      const store = Context.get(storage, AttemptStore)
      return Context.add(storage, AttemptStore, {
        ...store,
        close: (key, number, outcome) => Effect.as(store.close(key, number, outcome), true)
      })
    }
  },

  "an attempt that may always be followed by another": {
    breaks: /its attempts were: Started 1, Started 2/,
    mutant: (storage) => {
      const store = Context.get(storage, AttemptStore)
      return Context.add(storage, AttemptStore, {
        ...store,
        claim: (attempt) => store.claim({ ...attempt, sealedForResend: new Uint8Array([1]) })
      })
    }
  },

  "an acknowledgement that always says it was the first": {
    breaks: /its tags are/,
    mutant: (storage) => {
      const outbox = Context.get(storage, Outbox)
      return Context.add(storage, Outbox, {
        ...outbox,
        settle: (consumer, seq) => Effect.as(outbox.settle(consumer, seq), true)
      })
    }
  },

  "an outbox that keeps the sealed requests": {
    breaks: /still has the sealed request/,
    mutant: (storage) =>
      Context.add(storage, Outbox, { ...Context.get(storage, Outbox), eraseSealed: () => Effect.void })
  },

  "a start that does not count the calls in flight": {
    breaks: /calls are in flight/,
    mutant: (storage) =>
      Context.add(storage, ServiceCallRepository, {
        ...Context.get(storage, ServiceCallRepository),
        countAllTenants: Effect.succeed({ running: new Map(), due: new Map() })
      })
  },

  "a timer that fires a second early": {
    breaks: /came early/,
    mutant: (storage) => {
      const store = Context.get(storage, TimerStore)
      return Context.add(storage, TimerStore, {
        ...store,
        takeDueAcrossTenants: (now, limit) => store.takeDueAcrossTenants(DateTime.addDuration(now, 1_000), limit)
      })
    }
  },

  "hooks that run before the commit": {
    breaks: /had no durable claim/,
    mutant: (storage) => {
      const transaction = Context.get(storage, Transaction)
      const run: typeof transaction.run = (unit) =>
        Effect.contextWith((context: Context.Context<never>) => {
          const fork = Effect.runForkWith(context)
          const eager = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | UnitOfWork> =>
            Effect.updateService(work, UnitOfWork, (uow) => ({
              ...uow,
              afterCommit: (hook) => fork(hook),
              takeOn: (more) => uow.takeOn(eager(more))
            }))
          return transaction.run(eager(unit))
        })
      return Context.add(storage, Transaction, { ...transaction, run })
    }
  }
}
