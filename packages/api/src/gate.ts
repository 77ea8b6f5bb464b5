import { Context, Effect } from "effect"
import { MalformedJson, Overloaded } from "./problem.ts"

/**
 * Requests that are worked on at the same time. Two commits' worth: one is written, the next one gathers. With 64 or
 * 1,024 connections the service accepted the same number of calls a second; each only waited longer, and beyond that
 * accepting starves the work on what is accepted.
 */
export const REQUESTS_MAX = 1_024

/** Bytes of the bodies that are coming in or worked on, together: what clients can make the process hold. */
export const BODIES_BYTES_MAX = 134_217_728

/** One request on its way through the service. */
export class Visit extends Context.Service<
  Visit,
  {
    /**
     * Reads the request's body, for which room for this many bytes is kept; `read` may ask for more as it comes. While
     * it does, the request is not worked on and does not count. When there is no room for all bodies, the one that has
     * been coming in the longest gives way, with `Overloaded`.
     */
    readonly receive: <A>(
      bytes: number,
      read: (keepRoom: (bytes: number) => void) => Promise<A>
    ) => Effect.Effect<A, MalformedJson | Overloaded>
    /** Whether the body gave way: nobody reads the rest of it, so the connection cannot go on. */
    readonly gaveWay: () => boolean
    /** The request has its answer. */
    readonly leave: () => void
  }
>()("@event-service-agent/api/Visit") {}

/** Bounds what is worked on, so that what is accepted is answered in time and memory stays bounded. */
export interface Gate {
  /** Lets a request in, unless there are too many; `isUrgent` ones always. */
  readonly enter: (isUrgent: boolean) => Visit["Service"] | undefined
  /** Returns once no request is worked on. */
  readonly idle: Effect.Effect<void>
}

/** @param limits for tests; those of this file when absent */
export const makeGate = ({ requests = REQUESTS_MAX, bytes: bytesMax = BODIES_BYTES_MAX } = {}): Gate => {
  let working = 0
  let bytesHeld = 0
  /** Those whose bodies are coming in, the longest first. */
  const incoming = new Set<{ readonly giveUp: () => void }>()
  /** Who waits until there is nothing to do. */
  const idlers = new Set<() => void>()

  const enter = (): Visit["Service"] => {
    let bytesOwn = 0
    let isWorking = true
    let hasGivenWay = false
    working++

    const hold = (bytes: number) => {
      bytesHeld += bytes - bytesOwn
      bytesOwn = bytes
      if (bytesHeld <= bytesMax) return
      for (const longest of incoming) {
        if (bytesHeld <= bytesMax) break
        longest.giveUp()
      }
    }
    const pause = () => {
      if (isWorking) working--
      isWorking = false
      if (working === 0) for (const resume of idlers) resume()
    }
    const goOn = (): boolean => {
      if (working >= requests) return false
      working++
      isWorking = true
      return true
    }

    return {
      receive: <A>(bytes: number, read: (keepRoom: (bytes: number) => void) => Promise<A>) =>
        Effect.callback<A, MalformedJson | Overloaded>((resume) => {
          const end = (answer: () => Effect.Effect<A, MalformedJson | Overloaded>) => {
            if (incoming.delete(body)) resume(answer())
          }
          const body = {
            giveUp: () => {
              bytesHeld -= bytesOwn
              bytesOwn = 0
              hasGivenWay = true
              end(() => Effect.fail(new Overloaded({ detail: TRY_AGAIN })))
            }
          }
          pause()
          incoming.add(body)
          hold(bytes)
          const keepRoom = (more: number) => {
            if (incoming.has(body)) hold(more)
          }
          if (!incoming.has(body)) return
          read(keepRoom).then(
            (value) => end(() => (goOn() ? Effect.succeed(value) : Effect.fail(new Overloaded({ detail: TRY_AGAIN })))),
            () => end(() => Effect.fail(new MalformedJson({ detail: "The body ended early" })))
          )
          return Effect.sync(() => {
            incoming.delete(body)
          })
        }),
      gaveWay: () => hasGivenWay,
      leave: () => {
        pause()
        hold(0)
      }
    }
  }

  return {
    enter: (isUrgent) => (isUrgent || working < requests ? enter() : undefined),
    idle: Effect.callback<void>((resume) => {
      if (working === 0) return resume(Effect.void)
      const end = () => resume(Effect.void)
      idlers.add(end)
      return Effect.sync(() => void idlers.delete(end))
    })
  }
}

export const TRY_AGAIN = "There is more to do than the agent can: try again in a moment"
