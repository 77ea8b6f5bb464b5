import { Context, Latch, Layer } from "effect"

/** Opens when the service begins to stop: what has no end of its own ends then. */
export class Stopping extends Context.Service<Stopping, Latch.Latch>()("@event-service-agent/platform/Stopping") {
  static readonly layer = Layer.sync(Stopping, () => Latch.makeUnsafe())
}
