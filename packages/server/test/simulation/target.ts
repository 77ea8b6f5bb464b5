import type { Answer, HttpClientPort } from "@event-service-agent/platform/http-client-port"
import { SendFailed } from "@event-service-agent/platform/http-client-port"
import type { FailureKind, Sent } from "@event-service-agent/schemas/outcome"
import { Effect } from "effect"
import type { Process } from "./simulator.ts"
import type { World } from "./world.ts"

/** What becomes of a request. */
export type Behaviour =
  | { readonly kind: "answer"; readonly status: number; readonly afterMs: number }
  /** The target never answers. */
  | { readonly kind: "hang" }
  /** The target closes the connection without an answer. */
  | { readonly kind: "close"; readonly afterMs: number }
  /** No connection. */
  | { readonly kind: "refuse" }
  /** The egress guard refuses. */
  | { readonly kind: "block" }
  /** An answer that comes after the deadline, to a client that does not give up as it should. */
  | { readonly kind: "stick"; readonly status: number; readonly afterMs: number }

/** One use of the client. */
export interface Send {
  /** The number of the call. */
  readonly call: number
  /** Milliseconds of the simulator. */
  readonly at: number
  readonly timeoutMs: number
  /** The latest that the wall clock had shown until then. */
  readonly wallMax: number
  /** The last message that was committed by then. */
  readonly seq: number
  readonly idempotencyKey: string | undefined
  /** Whether the target got it. */
  isReceived: boolean
  /** The status that the target answered. */
  status: number | null
}

const TRANSIT_MS_MAX = 30

/** The network and what is at its other end. It outlives the processes. */
export const makeTarget = (world: World) => {
  const { simulator, random } = world
  const sends: Array<Send> = []
  const transit = () => random.between(0, TRANSIT_MS_MAX)

  const client = (process: Process): HttpClientPort["Service"] => ({
    send: (spec, { timeoutMs }) =>
      Effect.callback<Answer, SendFailed>((resume) => {
        const call = Number(spec.url.split("/").at(-1))
        if (!process.isAlive || world.crashes("crash before a send")) return
        const earlier = sends.filter((send) => send.call === call).length
        const behaviour = world.plan.calls[call]?.behaviours[earlier] ?? { kind: "hang" }
        const sentAt = simulator.wall()
        const sentAtNow = simulator.now
        const send: Send = {
          call,
          at: sentAtNow,
          timeoutMs,
          wallMax: simulator.wallMax,
          seq: world.commits.at(-1)?.seq ?? 0,
          idempotencyKey: Object.entries(spec.headers ?? {}).find(
            ([name]) => name.toLowerCase() === "idempotency-key"
          )?.[1],
          isReceived: false,
          status: null
        }
        sends.push(send)
        simulator.note(`send ${call}: ${JSON.stringify(behaviour)}`)

        let isEnded = false
        const end = (result: Effect.Effect<Answer, SendFailed>) => {
          if (isEnded || !process.isAlive) return
          isEnded = true
          process.enqueue(() => {
            resume(result)
            world.crashes("crash when the answer is in")
          })
        }
        const fail = (kind: FailureKind, sent: Sent, at: number | null = sentAt) =>
          end(Effect.fail(new SendFailed({ kind, sent, message: "simulated", sentAt: at })))
        const answer = (status: number) => {
          send.status = status
          simulator.note(`target answered ${call}: ${status}`)
          world.crashes("crash when the target has answered")
          simulator.after(transit(), () => {
            const latencyMs = simulator.now - sentAtNow
            end(Effect.succeed({ sentAt, latencyMs, status, headers: [], bodyStart: new Uint8Array(), bodyBytes: 0 }))
          })
        }

        if (behaviour.kind === "block") fail("BlockedDestination", "no", null)
        else if (behaviour.kind === "refuse") simulator.after(transit(), () => fail("ConnectionFailed", "no"))
        else {
          simulator.after(transit(), () => {
            send.isReceived = true
            world.crashes("crash when the target has the request")
            if (behaviour.kind === "close") simulator.after(behaviour.afterMs, () => fail("ConnectionClosed", "maybe"))
            else if (behaviour.kind !== "hang") simulator.after(behaviour.afterMs, () => answer(behaviour.status))
          })
        }
        if (behaviour.kind !== "stick") simulator.after(timeoutMs, () => fail("Timeout", "maybe"))
        return Effect.sync(() => {
          isEnded = true
        })
      })
  })

  return { sends, client }
}
