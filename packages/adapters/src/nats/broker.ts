import { readFileSync } from "node:fs"
import { type JetStreamClient, jetstream, jetstreamManager } from "@nats-io/jetstream"
import {
  AuthorizationError,
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  type NatsConnection
} from "@nats-io/transport-node"
import { Context, Effect, Fiber, Latch, Layer, Option, Runtime, Schedule, Schema } from "effect"
import { ensureTopology, IncompatibleBroker, StreamMissing, type TopologyOptions } from "./topology.ts"

/** How a start waits for a broker that does not answer, before it goes on without. */
export const CONNECT_WAIT_MS = 5_000
/** What the tests run with. In production 2.12.3 or newer, which can sync before it acknowledges. */
const SERVER_VERSION_MIN = "2.9.0"
const RECONNECT_WAIT_MS = 500
const PING_INTERVAL_MS = 5_000
const PINGS_OUT_MAX = 2
const CHECK_AGAIN_MS = 1_000
/** For the last acknowledgements. Without them the broker sends again what has taken effect, which has none. */
const DRAIN_MS = 150

/** Where NATS is, and who we are there. */
export interface BrokerOptions extends TopologyOptions {
  /** Any of them will do: host:port, with tls:// before it for TLS. */
  readonly servers: ReadonlyArray<string>
  readonly user: string | null
  readonly password: string | null
  /** A credentials file of an account with JWT and seed. */
  readonly credentialsFile: string | null
  /** Files in PEM. */
  readonly tls: { readonly caFile: string | null; readonly certFile: string | null; readonly keyFile: string | null }
}

/** NATS refuses who we are, or cannot be asked as the settings say. Exit code 78 (EX_CONFIG). */
export class BrokerRefused extends Schema.TaggedError<BrokerRefused>()("BrokerRefused", { reason: Schema.String }) {
  override readonly [Runtime.errorExitCode] = 78
  override readonly [Runtime.errorReported] = false
  override get message(): string {
    return `cannot use NATS: ${this.reason}`
  }
}

export interface BrokerClient {
  readonly connection: NatsConnection
  readonly stream: JetStreamClient
}

/** The connection to NATS. It comes back by itself; meanwhile nothing is lost, since the outbox keeps it. */
export class Broker extends Context.Service<
  Broker,
  {
    readonly prefix: string
    /** Waits until the broker is reachable, and its streams are there. */
    readonly ready: Effect.Effect<BrokerClient>
    /** Something failed that may be due to missing streams: looks, and makes them again. */
    readonly check: Effect.Effect<void>
    /** Why the broker cannot be used at the moment, for people. */
    readonly trouble: Effect.Effect<Option.Option<string>>
  }
>()("@event-service-agent/adapters/Broker") {
  /**
   * Connects. A broker that does not answer in `CONNECT_WAIT_MS` is waited for in the background; one that refuses us
   * (`BrokerRefused`), or whose streams do not fit (`IncompatibleBroker`), ends the start.
   *
   * @param ensure makes sure that the streams are there; an executor leaves that to the database process
   */
  static readonly layer = (options: BrokerOptions, ensure: typeof ensureTopology = ensureTopology) =>
    Layer.effect(
      Broker,
      Effect.suspend(() => makeBroker(options, ensure))
    )
}

const makeBroker = Effect.fnUntraced(function* (options: BrokerOptions, ensure: typeof ensureTopology) {
  const connectOptions = yield* toConnectOptions(options)
  const isReady = Latch.makeUnsafe()
  let client: BrokerClient | undefined
  let isConnected = false
  let problem: string | undefined = "NATS has not answered yet"

  const lookAfterStreams = async (connection: NatsConnection) => {
    try {
      await ensure(await jetstreamManager(connection), options)
      problem = undefined
      isReady.openUnsafe()
    } catch (error) {
      problem = `NATS: ${textOf(error)}`
      isReady.closeUnsafe()
      throw error
    }
  }
  const check = Effect.suspend(() => {
    const connection = client?.connection
    return connection === undefined || !isConnected
      ? Effect.void
      : Effect.promise(() => lookAfterStreams(connection).catch(() => {}))
  })
  /** The connection's own news, until it is closed. */
  const watch = Effect.fnUntraced(function* (connection: NatsConnection) {
    yield* Effect.promise(async () => {
      for await (const status of connection.status()) {
        if (status.type === "disconnect" || status.type === "staleConnection") {
          // Each refusal ends with one more.
          if (isConnected) problem = "NATS is not reachable"
          isConnected = false
          isReady.closeUnsafe()
        } else if (status.type === "reconnect") {
          isConnected = true
          await lookAfterStreams(connection).catch(() => {})
        } else if (status.type === "error" && !isConnected) {
          problem = explain(status.error).message
        }
      }
    })
  })
  // The client's own waiting would not tell a broker that refuses us from one that is away.
  let isStarting = true
  const connected = Effect.tryPromise({
    try: async (signal) => {
      const connection = await connect(connectOptions)
      if (signal.aborted) await connection.close()
      return connection
    },
    catch: (error) => error
  }).pipe(
    Effect.tapError((error) => {
      const before = problem
      // It tells a client without the right certificate nothing more.
      const hint = connectOptions.tls == null ? "" : "; where it asks for a certificate, look at NATS_TLS_CERT_FILE"
      problem = isRefusal(error) ? explain(error).message : `NATS is not reachable: ${textOf(error)}${hint}`
      return isStarting || problem === before ? Effect.void : Effect.logWarning(problem)
    }),
    Effect.retry({ while: (error) => !(isStarting && isRefusal(error)), schedule: Schedule.spaced(RECONNECT_WAIT_MS) })
  )
  const open = Effect.flatMap(connected, (connection) =>
    Effect.tryPromise(async () => {
      refuseOld(connection)
      isConnected = true
      client = { connection, stream: jetstream(connection) }
      await lookAfterStreams(connection).catch((error: unknown) => {
        // An executor may start before its agent. It is looked at again.
        if (!(error instanceof StreamMissing)) throw error
      })
    }).pipe(Effect.mapError(({ cause }) => cause))
  ).pipe(Effect.mapError(explain))

  const scope = yield* Effect.scope
  const opening = yield* Effect.forkIn(open, scope)
  const opened = Fiber.join(opening)
  yield* Effect.addFinalizer(() =>
    Effect.promise(async () => client?.connection.drain()).pipe(
      Effect.interruptible,
      Effect.timeoutOption(DRAIN_MS),
      // A broker that stands still would let the drain wait until it is taken for dead.
      Effect.catchCause(() => Effect.void),
      Effect.andThen(Effect.promise(async () => client?.connection.close()))
    )
  )
  const inTime = yield* Effect.timeoutOption(opened, CONNECT_WAIT_MS)
  isStarting = false
  if (Option.isNone(inTime)) {
    yield* Effect.logWarning(`NATS at ${options.servers.join(", ")} does not answer: it is waited for`)
  }
  yield* opened.pipe(
    Effect.tapError((error) => Effect.logError("NATS", error.message)),
    Effect.ignore,
    Effect.andThen(
      Effect.suspend(() => (client === undefined ? Effect.void : Effect.asVoid(watch(client.connection))))
    ),
    Effect.forkIn(scope)
  )
  let told: string | undefined
  const tell = Effect.suspend(() => {
    const before = told
    told = problem
    if (problem === before || client === undefined) return Effect.void
    const where = options.servers.join(", ")
    return problem === undefined
      ? Effect.logInfo(`NATS at ${where} works again`)
      : Effect.logWarning(`NATS at ${where}: what is to be published waits in the outbox`, problem)
  })
  // Streams that somebody made unfit, or that could not be made, are looked at again.
  yield* Effect.sleep(CHECK_AGAIN_MS).pipe(
    Effect.andThen(tell),
    Effect.andThen(Effect.suspend(() => (problem === undefined ? Effect.void : check))),
    Effect.forever,
    Effect.forkIn(scope)
  )

  const ready: Effect.Effect<BrokerClient> = Effect.andThen(
    isReady.await,
    Effect.suspend(() => (client === undefined ? ready : Effect.succeed(client)))
  )
  return Broker.of({
    prefix: options.prefix,
    ready,
    check,
    trouble: Effect.sync(() => Option.fromNullishOr(problem))
  })
})

/** Without JetStream as it is used here, calls would only wait. */
const refuseOld = (connection: NatsConnection): void => {
  const version = connection.info?.version ?? "0.0.0"
  if (Bun.semver.order(version, SERVER_VERSION_MIN) < 0) {
    throw new BrokerRefused({ reason: `the server is ${version}, it has to be at least ${SERVER_VERSION_MIN}` })
  }
}

const explain = (error: unknown): BrokerRefused | IncompatibleBroker => {
  if (error instanceof IncompatibleBroker || error instanceof BrokerRefused) return error
  if (error instanceof AuthorizationError) {
    const hint = "look at NATS_USER and NATS_PASSWORD, or NATS_CREDENTIALS_FILE"
    return new BrokerRefused({ reason: `it refuses these credentials; ${hint}` })
  }
  const message = textOf(error)
  if (isAboutTls(error)) return new BrokerRefused({ reason: `${message}; look at the NATS_TLS settings` })
  const hint = message.includes("insufficient storage") ? "; give it more, or set a smaller NATS_STREAM_BYTES" : ""
  return new BrokerRefused({ reason: message + hint })
}

/** Whether it will be refused again until somebody changes something: the credentials, or what TLS is to trust. */
const isRefusal = (error: unknown): boolean => error instanceof AuthorizationError || isAboutTls(error)

const isAboutTls = (error: unknown): boolean => {
  if (!(error instanceof Error)) return false
  const code = "code" in error ? String(error.code) : ""
  return /TLS|SSL|CERT|SIGNATURE/.test(code) || error.message.includes("'tls'") || isAboutTls(error.cause)
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const toConnectOptions = (options: BrokerOptions) =>
  Effect.try({
    try: (): ConnectionOptions => {
      const { servers, user, password, credentialsFile, tls } = options
      const read = (file: string | null) => (file === null ? undefined : readFileSync(file, "utf8"))
      const pem = { ca: read(tls.caFile), cert: read(tls.certFile), key: read(tls.keyFile) }
      const isTls = servers.some((server) => server.startsWith("tls://"))
      return {
        servers: servers.map((server) => server.replace(/^(nats|tls):\/\//, "")),
        name: "event-service-agent",
        // Not the usual one, on which others may listen: sealed requests come in there.
        inboxPrefix: `_ESA_INBOX_${options.prefix}`,
        reconnect: true,
        maxReconnectAttempts: -1,
        timeout: CONNECT_WAIT_MS,
        ignoreAuthErrorAbort: true,
        reconnectTimeWait: RECONNECT_WAIT_MS,
        pingInterval: PING_INTERVAL_MS,
        maxPingOut: PINGS_OUT_MAX,
        ...(user === null ? {} : { user, pass: password ?? "" }),
        ...(credentialsFile === null ? {} : { authenticator: credsAuthenticator(readFileSync(credentialsFile)) }),
        ...(isTls || pem.ca !== undefined || pem.cert !== undefined
          ? { tls: Object.fromEntries(Object.entries(pem).filter(([, value]) => value !== undefined)) }
          : {})
      }
    },
    catch: (cause) => new BrokerRefused({ reason: textOf(cause) })
  })
