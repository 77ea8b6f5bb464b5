import { Context, Latch, Layer } from "effect"

/** How far the service has come with its stop. */
export class Stopping extends Context.Service<
  Stopping,
  {
    /** Opens when it begins: what has no end of its own ends then, and nothing new is taken. */
    readonly begun: Latch.Latch
    /** Opens when the modules have stopped: nothing happens any more that an answer could wait for. */
    readonly modulesStopped: Latch.Latch
  }
>()("@event-service-agent/platform/Stopping") {
  static readonly layer = Layer.sync(Stopping, () => ({
    begun: Latch.makeUnsafe(),
    modulesStopped: Latch.makeUnsafe()
  }))
}
