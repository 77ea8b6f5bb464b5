/** One setting, for people. */
export interface SettingText {
  /** What leaving it out means: the value as a span of code, or words where it depends. */
  readonly default: string
  readonly meaning: string
}

/** A part of the settings, with the heading that they have in the documents. */
export type SettingGroup = Readonly<Record<string, SettingText>>

const setting = (fallback: string, meaning: string): SettingText => ({ default: fallback, meaning })

/**
 * Every setting that the program reads; no other can be read. The tables in docs/operations.md and .env.example are
 * generated from it by `bun run docs:settings`.
 */
export const SETTINGS = {
  "Where to listen, and who may ask": {
    HOST: setting("`127.0.0.1`", "where to listen; `0.0.0.0` is everywhere"),
    PORT: setting("`3000`", "`0` lets the system choose"),
    ALLOWED_HOSTS: setting(
      "none",
      "further names in the Host header to answer to, with commas: `calls.example.com`. Others get a 421; localhost and `HOST` will do, and any address where `HOST` is everywhere"
    ),
    AUTH: setting("`off` on loopback, else `on`", "`on`: every request needs an API key"),
    ADMIN_KEY_FILE: setting(
      "`admin.key` beside the database",
      "where a start writes a key for everything, when nobody has a live one with `admin`; mode 0600, never printed"
    ),
    RATE_LIMIT_SUBMISSIONS: setting(
      "`off`",
      "submissions, repetitions and changes of tags of a tenant a second; as many at once"
    ),
    QUOTA_PENDING_CALLS: setting("`off`", "calls of a tenant that have not ended"),
    QUOTA_STORED_BYTES: setting(
      "`off`",
      "bytes of the names, tags, redacted and sealed requests and outcomes of a tenant's calls; given back at their end and by retention"
    )
  },
  "Where to keep things": {
    DB_PATH: setting("`data/event_service.db`", "the database, one process at a time; its folder is made"),
    SECRET_KEY_FILE: setting(
      "`secret.key` beside the database",
      "seals stored requests, made at the first start; back it up with the database"
    ),
    RETENTION_FINISHED: setting(
      "`30d`",
      "how long ended calls and their idempotency keys are kept: `12h`, `15m`, `45s`, or `off` for ever"
    ),
    RETENTION_EVENTS: setting("`7d`", "the same for handled messages"),
    RETENTION_DEAD_LETTERS: setting("`90d`", "the same for dead letters"),
    RETENTION_KEPT_REQUESTS: setting("`30d`", "the same for requests of calls with `keepRequest`")
  },
  "Sending calls": {
    SENDING: setting(
      "`on`",
      "`off`: calls are taken, listed and cancelled, nothing is sent, and retention deletes nothing; to look at a restored copy. Not with `NATS_URL`"
    ),
    EGRESS_ALLOW: setting(
      "none",
      "private destinations that may be called, with commas: `intranet.example:8080,127.0.0.1:4000,10.1.0.0/16`. Addresses of cloud metadata stay closed"
    ),
    BUN_CONFIG_MAX_HTTP_REQUESTS: setting(
      "`256`; `bun run start` sets 1000",
      "requests that the runtime sends at the same time"
    ),
    IN_FLIGHT_MAX: setting(
      "`1000`, at most BUN_CONFIG_MAX_HTTP_REQUESTS",
      "calls in flight at the same time, of all tenants; on an executor those it takes"
    ),
    IN_FLIGHT_PER_TENANT_MAX: setting("a quarter of it", "calls of one tenant in flight"),
    EXECUTE_HERE: setting(
      "`on`",
      "`off`: this process sends nothing itself but second attempts; executors elsewhere do"
    )
  },
  NATS: {
    NATS_URL: setting(
      "none",
      "the modules talk over NATS JetStream: `nats://a:4222,nats://b:4222`, or `tls://…`. Without it, the others below say nothing"
    ),
    NATS_USER: setting("none", "a user; not part of `NATS_URL`, which is shown"),
    NATS_PASSWORD: setting("none", "and the password"),
    NATS_CREDENTIALS_FILE: setting("none", "a credentials file with JWT and seed, instead"),
    NATS_TLS_CA_FILE: setting("none", "PEM: whom to trust"),
    NATS_TLS_CERT_FILE: setting("none", "PEM: a certificate of our own"),
    NATS_TLS_KEY_FILE: setting("none", "PEM: and its key"),
    NATS_PREFIX: setting("`esa`", "begins the names of streams and subjects: one agent per prefix"),
    NATS_REPLICAS: setting("`1`", "copies of each stream when it is made"),
    NATS_STREAM_BYTES: setting(
      "`1073741824`",
      "room of each stream when it is made; the broker keeps it free from the start"
    ),
    NATS_REPUBLISH_AFTER: setting(
      "`1m`",
      "a message that the broker has and nobody has handled for so long is published again"
    )
  },
  "Logs and traces": {
    LOG_FORMAT: setting("`pretty` on a terminal, else `json`", "`pretty`, `json` or `logfmt`"),
    LOG_LEVEL: setting("`info`", "`trace`, `debug`, `info`, `warning`, `error` or `none`"),
    OTEL_EXPORTER_OTLP_ENDPOINT: setting(
      "none",
      "exports traces to this collector: `http://127.0.0.1:4318`; `/v1/traces` is added. Without it, the others below say nothing"
    ),
    OTEL_EXPORTER_OTLP_PROTOCOL: setting("`http/protobuf`", "or `http/json`"),
    OTEL_EXPORTER_OTLP_HEADERS: setting("none", "`name=value,name=value`, for credentials; they are in no log"),
    OTEL_SERVICE_NAME: setting("`event-service-agent`", "names the process in the traces"),
    OTEL_RESOURCE_ATTRIBUTES: setting("none", "further attributes of every span: `key=value`, with commas"),
    OTEL_TRACES_SAMPLER_ARG: setting(
      "`1`",
      "the share, 0 to 1, of traces that begin here. One that comes with a request goes on as it came, sampled or not"
    )
  },
  "For first tries": {
    ECHO_PORT: setting(
      "`3001`; `off` in production",
      "the demo target on 127.0.0.1, open to calls. Production is `NODE_ENV=production`, or a `HOST` that is not loopback"
    ),
    NODE_ENV: setting("none", "`production` leaves out what is for first tries")
  }
} as const satisfies Readonly<Record<string, SettingGroup>>

type KeyIn<Group> = Group extends unknown ? keyof Group : never
/** The name of a setting in the environment. */
export type SettingKey = KeyIn<(typeof SETTINGS)[keyof typeof SETTINGS]>
