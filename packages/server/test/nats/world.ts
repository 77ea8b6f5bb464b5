import { Load } from "../chaos/load.ts"
import { backlogOf, observe, untilAllEnded } from "../chaos/observe.ts"
import { violationsOf } from "../chaos/violations.ts"
import { type Detail, json } from "../client.ts"
import { type Arrival, type CountingTarget, countingTarget } from "../counting-target.ts"
import { type Environment, Service, type TemporaryFolder, temporaryFolder } from "../process.ts"
import { stored } from "../stored.ts"
import { until } from "../until.ts"
import { makeCalls, tagSome } from "./load.ts"
import { NatsServer } from "./nats-server.ts"
import { readEvents, type SeenEvent } from "./streams.ts"

/** How long everything may take to end once the fault is over. */
const END_MS_MAX = 60_000
/** How long an attempt may take here until its outcome is recorded. */
const UNDER_WAY_MS_MAX = 5_000

export interface WorldOptions {
  readonly calls: number
  readonly env?: Environment
  /** What the target does before it answers, milliseconds. */
  readonly answerAfterMs?: number
  /** Whether the broker is there from the start, and with it somebody who listens. */
  readonly isBrokerUp?: boolean
}

interface Readiness {
  readonly status: string
  readonly detail?: string
}

/** What is checked beyond the promises that hold under every fault. */
export interface Expected {
  /**
   * What the stream holds, if not each event: those that the operator had published again after some were lost, or as far
   * as there was a broker.
   */
  readonly events?: keyof typeof eventProblemsBy
  /** When the program was killed, milliseconds since 1970: what it was sending has an unknown outcome. */
  readonly kills?: ReadonlyArray<number>
}

/** A broker, the program, a target and a load, around one fault. */
export class World implements AsyncDisposable {
  readonly nats: NatsServer
  readonly target: CountingTarget
  readonly load: Load
  service: Service
  readonly #folder: TemporaryFolder
  readonly #count: number
  #acknowledged = 0
  readonly #tagged: Promise<ReadonlyArray<string>>

  private constructor(
    folder: TemporaryFolder,
    nats: NatsServer,
    target: CountingTarget,
    service: Service,
    count: number
  ) {
    this.#folder = folder
    this.nats = nats
    this.target = target
    this.service = service
    this.#count = count
    this.load = new Load(makeCalls(count), target.url)
    this.load.url = service.url
    this.load.onAcknowledged = () => {
      this.#acknowledged++
    }
    this.#tagged = tagSome(this.load, count)
  }

  static async start({ calls, env = {}, answerAfterMs = 0, isBrokerUp = true }: WorldOptions): Promise<World> {
    await using stack = new AsyncDisposableStack()
    const folder = stack.use(temporaryFolder())
    const nats = stack.use(await NatsServer.start())
    const target = stack.use(
      countingTarget(async () => {
        await Bun.sleep(answerAfterMs)
        return new Response("ok")
      })
    )
    if (!isBrokerUp) await nats.kill()
    const service = stack.use(await startService(folder, target, { ...overNats(nats), ...env }))
    const world = new World(folder, nats, target, service, calls)
    stack.move()
    return world
  }

  /** Has the load submitted up to this share of it, and waits until each call is acknowledged. */
  async submitted(share: number): Promise<void> {
    this.submit(share)
    const count = Math.ceil(this.#count * share)
    await until("the calls are acknowledged", () => this.#acknowledged >= count, END_MS_MAX)
  }

  /** Lets the clients submit up to this share of the load. */
  submit(share: number): void {
    this.load.release(Math.ceil(this.#count * share))
  }

  async readiness(): Promise<Readiness> {
    return (await this.service.fetch("/health/ready")).json()
  }

  /** Waits until the program says that it is not well, and returns why. */
  untilDegraded(why: RegExp = /./): Promise<string> {
    return until(
      `it is degraded because of ${why}`,
      async () => {
        const { status, detail = "" } = await this.readiness()
        return status === "degraded" && why.test(detail) ? detail : undefined
      },
      END_MS_MAX
    )
  }

  untilReady(): Promise<unknown> {
    return until("it is well again", async () => (await this.readiness()).status === "ok", END_MS_MAX)
  }

  /** Stops the program, and starts it on the same database with or without the broker. */
  async switchTo(transport: "nats" | "embedded"): Promise<void> {
    this.load.url = undefined
    await this.service.kill("SIGTERM")
    this.service = await startService(this.#folder, this.target, transport === "nats" ? overNats(this.nats) : {})
    this.load.url = this.service.url
  }

  /** Kills the program and the broker and starts both again. Returns when they were killed. */
  async crash(): Promise<number> {
    this.load.url = undefined
    await Promise.all([this.service.kill("SIGKILL"), this.nats.kill()])
    const at = Date.now()
    await this.nats.start()
    await this.service.restart()
    this.load.url = this.service.url
    return at
  }

  /** Waits until every call of the load has ended. */
  async allEnded(): Promise<void> {
    this.submit(1)
    await this.load.done
    await this.#tagged
    await untilAllEnded(this.service, END_MS_MAX)
  }

  /** Waits until every call has ended and every message is where it has to be. */
  async settled(): Promise<void> {
    await this.allEnded()
    await until("nothing waits", () => backlogOf(this.service.dbPath) === 0, END_MS_MAX)
  }

  /** Has all events published once more, and waits until they are. Returns how many the program says they are. */
  async republish(): Promise<number> {
    const answer = await this.service.fetch("/api/admin/republish", json({ since: "2000-01-01T00:00:00Z" }))
    const { events } = await answer.json()
    await until("they are published", () => backlogOf(this.service.dbPath) === 0, END_MS_MAX)
    return events
  }

  /** Stops the program and returns a sentence for each broken promise. */
  async violations(healedAt: number, { events = "all", kills = [] }: Expected = {}): Promise<ReadonlyArray<string>> {
    const { load, target, service, nats } = this
    const tagProblems = await this.#tagged
    const observed = await observe(service)
    const seen = await readEvents(nats.url)
    const { receipts } = load
    const { byKey } = target
    const isDrained = kills.length === 0
    return [
      ...load.problems,
      ...tagProblems,
      ...(receipts.length === this.#count ? [] : [`only ${receipts.length} calls were submitted`]),
      ...receipts.flatMap(({ call, serviceCallId }) =>
        serviceCallId === null ? [`call ${call.number} was not acknowledged`] : []
      ),
      ...violationsOf({ ...observed, receipts, arrivals: byKey, lastKillAt: healedAt, isDrained }),
      ...observed.details.flatMap((detail) => endProblems(detail, byKey.get(detail.serviceCallId) ?? [], kills)),
      ...eventProblemsBy[events](storedEvents(service.dbPath), seen)
    ]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.load[Symbol.dispose]()
    await this.service[Symbol.asyncDispose]()
    await this.target[Symbol.asyncDispose]()
    await this.nats[Symbol.asyncDispose]()
    this.#folder[Symbol.dispose]()
  }
}

const overNats = ({ url }: NatsServer): Environment => ({ NATS_URL: url, NATS_REPUBLISH_AFTER: "2s" })

const startService = ({ path }: TemporaryFolder, { host }: CountingTarget, env: Environment): Promise<Service> =>
  Service.start({ EGRESS_ALLOW: host, ...env }, { folder: path })

/** Every call succeeds with one request, or is cancelled; but for what was under way when the program was killed. */
const endProblems = (
  { name, status, failure, attempt }: Detail,
  arrivals: ReadonlyArray<Arrival>,
  kills: ReadonlyArray<number>
): ReadonlyArray<string> => {
  if (status === "Cancelled") return []
  if (status === "Succeeded") {
    return arrivals.length === 1 ? [] : [`${name} came to its target ${arrivals.length} times`]
  }
  const startedAt = Date.parse(attempt?.startedAt ?? "")
  const wasUnderWay = kills.some((at) => startedAt <= at && at <= startedAt + UNDER_WAY_MS_MAX)
  return failure?.kind === "OutcomeUnknown" && wasUnderWay ? [] : [`${name} ended as ${status} ${failure?.kind ?? ""}`]
}

interface StoredEvent {
  readonly seq: number
  readonly message_id: string
  readonly type: string
  readonly service_call_id: string
}

const COMMANDS =
  "'SubmitServiceCall', 'CancelServiceCall', 'SetServiceCallTags', 'ScheduleTimer', 'CancelTimer', 'StartExecution'"

const storedEvents = (dbPath: string): ReadonlyArray<StoredEvent> =>
  stored(
    dbPath,
    `SELECT seq, message_id, type, service_call_id FROM outbox WHERE type NOT IN (${COMMANDS}) ORDER BY seq`
  )

/** What somebody outside saw otherwise than it is stored: repeated ones left out, each call's events, in order. */
const eventProblems = (events: ReadonlyArray<StoredEvent>, seen: ReadonlyArray<SeenEvent>): ReadonlyArray<string> => {
  const firsts = [...new Map(seen.toReversed().map((event) => [event.messageId, event])).values()]
  const position = new Map(seen.map((event, index) => [event, index]))
  firsts.sort((a, b) => (position.get(a) ?? 0) - (position.get(b) ?? 0))
  const seenOf = Map.groupBy(firsts, (event) => event.serviceCallId)
  const storedOf = Map.groupBy(events, (event) => event.service_call_id)
  return [
    ...[...seenOf.keys()].filter((id) => !storedOf.has(id)).map((id) => `there are events of ${id}, which is no call`),
    ...[...storedOf].flatMap(([id, all]) => {
      const found = (seenOf.get(id) ?? []).map((event) => `${event.seq} ${event.type} ${event.messageId}`).join(", ")
      const wanted = all.map((event) => `${event.seq} ${event.type} ${event.message_id}`).join(", ")
      return found === wanted ? [] : [`events of ${id}: seen ${found}; stored ${wanted}`]
    })
  ]
}

/** The same for those that were published again, which are all of them, marked and under ids of their own. */
const republishProblems = (
  events: ReadonlyArray<StoredEvent>,
  seen: ReadonlyArray<SeenEvent>
): ReadonlyArray<string> => {
  const again = seen.filter((event) => event.isRepublished)
  const publishIds = new Set(seen.map((event) => event.publishId))
  const isStale = (event: SeenEvent) => event.publishId === event.messageId
  return [
    ...eventProblems(events, again),
    ...(publishIds.size === seen.length ? [] : ["two were published under the same id"]),
    ...again.filter(isStale).map(({ messageId }) => `${messageId} was published again under the id it had`)
  ]
}

/** The same as far as they were published. */
const orderProblems = (events: ReadonlyArray<StoredEvent>, seen: ReadonlyArray<SeenEvent>): ReadonlyArray<string> => {
  const ids = new Set(seen.map((event) => event.messageId))
  return eventProblems(
    events.filter((event) => ids.has(event.message_id)),
    seen
  )
}

const eventProblemsBy = { all: eventProblems, republished: republishProblems, some: orderProblems }
