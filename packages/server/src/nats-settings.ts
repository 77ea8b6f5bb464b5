import { createHmac } from "node:crypto"
import type { BrokerOptions } from "@event-service-agent/adapters/nats/broker"
import { PREFIX_DEFAULT } from "@event-service-agent/schemas/nats"
import { Redacted } from "effect"
import type { ReadSetting } from "./config.ts"
import type { SettingKey } from "./settings-catalogue.ts"

const OWNER_DIGITS = 16
const REPUBLISH_AFTER_MS = 60_000
const REPLICAS_MAX = 5
const STREAM_BYTES_MIN = 16_777_216
const STREAM_BYTES_MAX = 1_073_741_824

/** How the modules reach each other over NATS. */
export interface NatsSettings extends Omit<BrokerOptions, "owner"> {
  /** Milliseconds after which a message that nobody has handled is published once more. */
  readonly republishAfterMs: number
}

/** `null` without NATS_URL: then the others say nothing. */
export const readNatsSettings = (
  read: ReadSetting,
  parse: {
    readonly integer: (min: number, max: number) => (text: string) => number | undefined
    readonly age: (text: string) => number | undefined
  }
): NatsSettings | null => {
  const servers = read(
    "NATS_URL",
    null,
    serverList,
    "a comma list such as nats://127.0.0.1:4222 or tls://a:4222,tls://b:4222"
  )
  const file = (key: SettingKey) => read<string | null>(key, null, (text) => text, "a file path")
  const settings = {
    prefix: read(
      "NATS_PREFIX",
      PREFIX_DEFAULT,
      (text) => (/^[A-Za-z0-9_-]{1,32}$/.test(text) ? text : undefined),
      "1 to 32 characters of A-Z, a-z, 0-9, _ and -"
    ),
    replicas: read("NATS_REPLICAS", 1, parse.integer(1, REPLICAS_MAX), `a number from 1 to ${REPLICAS_MAX}`),
    streamBytesMax: read(
      "NATS_STREAM_BYTES",
      STREAM_BYTES_MAX,
      parse.integer(STREAM_BYTES_MIN, 999_999_999_999),
      `a number of bytes of at least ${STREAM_BYTES_MIN}, room for some large requests`
    ),
    republishAfterMs: read("NATS_REPUBLISH_AFTER", REPUBLISH_AFTER_MS, parse.age, "a time such as 1m or 90s"),
    user: read<string | null>("NATS_USER", null, (text) => text, "a user name"),
    password: read<string | null>("NATS_PASSWORD", null, (text) => text, "a password"),
    credentialsFile: file("NATS_CREDENTIALS_FILE"),
    tls: {
      caFile: file("NATS_TLS_CA_FILE"),
      certFile: file("NATS_TLS_CERT_FILE"),
      keyFile: file("NATS_TLS_KEY_FILE")
    }
  }
  return servers === null ? null : { ...settings, servers }
}

/** Names an installation on the broker: whoever has its secret key. */
export const ownerOf = (secret: Redacted.Redacted<Uint8Array>): string =>
  createHmac("sha256", Redacted.value(secret)).update("installation").digest("hex").slice(0, OWNER_DIGITS)

/** Credentials have settings of their own: an address is shown in messages. */
const serverList = (text: string): ReadonlyArray<string> | undefined => {
  const servers = text.split(",").map((server) => server.trim())
  return servers.every((server) => /^((nats|tls):\/\/)?[A-Za-z0-9._-]+(:\d{1,5})?$/.test(server)) ? servers : undefined
}
