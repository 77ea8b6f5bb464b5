import { CONSUMERS, type Consumer } from "@event-service-agent/schemas/envelope"
import { streamNames, subjectsOf } from "@event-service-agent/schemas/nats"
import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  ReplayPolicy,
  RetentionPolicy,
  StorageType,
  type StreamConfig
} from "@nats-io/jetstream"
import { nanos } from "@nats-io/transport-node"
import { Runtime, Schema } from "effect"

/** Messages that one module may have in hand, over all calls. */
export const ACK_PENDING_MAX = 1_000
/** Milliseconds after which the broker gives a message that nobody acknowledged to somebody again. */
export const ACK_WAIT_MS = 30_000

const DAY_MS = 86_400_000

/** The broker has streams or consumers that do not fit. Holds a line for each difference. Exit code 78 (EX_CONFIG). */
export class IncompatibleBroker extends Schema.TaggedError<IncompatibleBroker>()("IncompatibleBroker", {
  differences: Schema.Array(Schema.String)
}) {
  override readonly [Runtime.errorExitCode] = 78
  override readonly [Runtime.errorReported] = false
  override get message(): string {
    return [
      "NATS has streams or consumers that this program cannot work with:",
      ...this.differences.map((line) => `  ${line}`),
      "Change them as said, or set another NATS_PREFIX."
    ].join("\n")
  }
}

/** Who makes the streams has not done so yet, or they were deleted. */
export class StreamMissing extends Error {}

export interface TopologyOptions {
  readonly prefix: string
  /** Copies of each stream in a cluster. */
  readonly replicas: number
  /** Bytes that each stream may take; the broker keeps the room from the start. */
  readonly streamBytesMax: number
  /** Names the installation that the streams belong to. */
  readonly owner: string
}

/**
 * Creates the streams and consumers that are missing, and verifies those that are there: sizes, ages, windows and
 * replicas are the operator's to change, everything else decides whether calls are lost. Throws `IncompatibleBroker`,
 * or what the client throws.
 */
export const ensureTopology = async (manager: JetStreamManager, options: TopologyOptions): Promise<void> => {
  // Nothing is made before all that is there is known to fit.
  const differences: Array<string> = []
  const missing: Array<() => Promise<unknown>> = []
  for (const wanted of streamsOf(options)) {
    const found = await orMissing(manager.streams.info(wanted.name))
    if (found === undefined) missing.push(() => manager.streams.add(wanted))
    else differences.push(...differencesOfStream(wanted, found.config, options.owner))
  }
  const { work } = streamNames(options.prefix)
  for (const consumer of CONSUMERS) {
    const wanted = consumerOf(options.prefix, consumer)
    const found = await orMissing(manager.consumers.info(work, consumer))
    if (found === undefined) missing.push(() => manager.consumers.add(work, wanted))
    else {
      const name = `consumer ${consumer} of stream ${work}`
      differences.push(...differencesOf(name, wanted, found.config), ...limitsOf(name, found.config, PULL_LIMITS))
    }
  }
  if (differences.length > 0) throw new IncompatibleBroker({ differences })
  for (const make of missing) await make()
}

/**
 * For executors, which leave the streams to the process that has the database: verifies that they are there and belong
 * to the same installation. Throws `StreamMissing`, and like `ensureTopology`.
 */
export const verifyOwner = async (manager: JetStreamManager, { prefix, owner }: TopologyOptions): Promise<void> => {
  const { work } = streamNames(prefix)
  const found = await orMissing(manager.streams.info(work))
  if (found === undefined) throw new StreamMissing(`the agent has not made its stream ${work} yet`)
  if (differenceOfOwner(work, owner, found.config) !== undefined) throw new OtherKey(work)
}

/** The streams are of an agent with another secret key than this executor. */
class OtherKey extends Error {
  constructor(stream: string) {
    super(
      `the stream ${stream} is of an agent with another secret key: SECRET_KEY_FILE has to be a copy of the agent's key, or NATS_PREFIX is another one`
    )
  }
}

type WantedStream = Partial<StreamConfig> & { readonly name: string; readonly description: string }

const streamsOf = ({ prefix, replicas, owner, streamBytesMax }: TopologyOptions): ReadonlyArray<WantedStream> => {
  const names = streamNames(prefix)
  const subjects = subjectsOf(prefix)
  const common = {
    description: descriptionOf(owner),
    storage: StorageType.File,
    discard: DiscardPolicy.New,
    num_replicas: replicas,
    duplicate_window: nanos(120_000)
  }
  return [
    {
      ...common,
      name: names.work,
      subjects: [subjects.work],
      retention: RetentionPolicy.Workqueue,
      max_age: nanos(7 * DAY_MS),
      max_bytes: streamBytesMax
    },
    {
      ...common,
      name: names.events,
      subjects: [subjects.events],
      retention: RetentionPolicy.Limits,
      max_age: nanos(7 * DAY_MS),
      max_bytes: streamBytesMax
    }
  ]
}

const consumerOf = (prefix: string, consumer: Consumer): Partial<ConsumerConfig> => ({
  // A module reads its messages from the outbox; executors elsewhere have only what comes over the broker.
  headers_only: consumer !== "execution",
  durable_name: consumer,
  filter_subject: subjectsOf(prefix).workOf(consumer),
  ack_policy: AckPolicy.Explicit,
  deliver_policy: DeliverPolicy.All,
  ack_wait: nanos(ACK_WAIT_MS),
  max_ack_pending: ACK_PENDING_MAX,
  max_deliver: -1,
  replay_policy: ReplayPolicy.Instant
})

const descriptionOf = (owner: string): string => `event-service-agent ${owner}`

/** @param owner as the description has it, or the first part of that */
const differenceOfOwner = (stream: string, owner: string, found: StreamConfig): string | undefined =>
  `${found.description} `.startsWith(`${descriptionOf(owner)} `)
    ? undefined
    : `stream ${stream}: it belongs to "${found.description ?? "nobody"}", and this is "${descriptionOf(owner)}", ` +
      "as its secret key and its database say"

/** What the operator may change. */
const TUNABLE: ReadonlySet<string> = new Set([
  "num_replicas",
  "duplicate_window",
  "max_age",
  "max_bytes",
  "ack_wait",
  "max_ack_pending",
  "description"
])

const differencesOfStream = (wanted: WantedStream, found: StreamConfig, owner: string): ReadonlyArray<string> => {
  const name = `stream ${wanted.name}`
  const lines = [...differencesOf(name, wanted, found)]
  const otherOwner = differenceOfOwner(wanted.name, owner, found)
  if (otherOwner !== undefined) lines.push(otherOwner)
  for (const limit of ["max_age", "max_bytes"] as const) {
    if (!(found[limit] > 0)) lines.push(`${name}: ${limit} has no limit, it needs one`)
  }
  lines.push(...limitsOf(name, found, ["no_ack", "max_msg_size"]))
  // Each subject of a work queue, or of outside readers, has many messages that are all wanted.
  for (const limit of ["max_msgs", "max_msgs_per_subject"] as const) {
    if (found[limit] > 0) lines.push(`${name}: ${limit} is ${found[limit]}, it has to be unlimited`)
  }
  return lines
}

const PULL_LIMITS = ["max_batch", "max_bytes", "max_expires", "inactive_threshold"]

/** What would keep messages back, when somebody has set it. */
const limitsOf = (name: string, found: object, limits: ReadonlyArray<string>): ReadonlyArray<string> => {
  const values = new Map<string, unknown>(Object.entries(found))
  return limits.flatMap((limit) => {
    const value = values.get(limit)
    return value === true || Number(value) > 0 ? [`${name}: ${limit} is ${value}, it has to be unset`] : []
  })
}

const differencesOf = (name: string, wanted: object, found: object): ReadonlyArray<string> => {
  const values = new Map<string, unknown>(Object.entries(found))
  return Object.entries(wanted).flatMap(([key, value]) => {
    // The broker leaves out what is false.
    const is = JSON.stringify(values.get(key) ?? (value === false ? false : undefined))
    const shouldBe = JSON.stringify(value)
    return TUNABLE.has(key) || is === shouldBe
      ? []
      : [`${name}: ${key} is ${is ?? "not set"}, it has to be ${shouldBe}`]
  })
}

const MISSING: ReadonlySet<number> = new Set([JetStreamApiCodes.StreamNotFound, JetStreamApiCodes.ConsumerNotFound])

const orMissing = <A>(promise: Promise<A>): Promise<A | undefined> =>
  promise.catch((error: unknown) => {
    if (error instanceof JetStreamApiError && MISSING.has(error.code)) return undefined
    throw error
  })
