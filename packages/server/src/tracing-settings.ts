import { Redacted } from "effect"
import type { ReadSetting } from "./config.ts"

/** Exports that are on their way at the same time: each takes one of the requests that Bun sends at once. */
export const EXPORTS_IN_FLIGHT_MAX = 2

/** Where spans go. The names are those of OpenTelemetry. */
export interface TracingSettings {
  /** Of the traces, with the path. */
  readonly url: string
  readonly protocol: "http/json" | "http/protobuf"
  readonly serviceName: string
  /** They may be credentials. */
  readonly headers: Redacted.Redacted<Readonly<Record<string, string>>>
  /** Of the traces that begin here, 0 to 1. Others go on as they came. */
  readonly ratio: number
}

/** `null` without OTEL_EXPORTER_OTLP_ENDPOINT: then the others, which may be meant for other programs, are not read. */
export const readTracingSettings = (read: ReadSetting): TracingSettings | null => {
  let isOn = false
  const url = read(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "",
    (text) => {
      isOn = true
      return tracesUrl(text)
    },
    "the address of a collector, for example http://127.0.0.1:4318"
  )
  if (!isOn) return null
  // Read by effect itself, which would end the program without a word on how to go on.
  read("OTEL_RESOURCE_ATTRIBUTES", undefined, (text) => pairsIn(text), PAIRS)
  return {
    url,
    protocol: read(
      "OTEL_EXPORTER_OTLP_PROTOCOL",
      "http/protobuf",
      (text) => PROTOCOLS.find((one) => one === text),
      PROTOCOLS.join(" or ")
    ),
    serviceName: read("OTEL_SERVICE_NAME", "event-service-agent", (text) => text, "a name"),
    headers: read("OTEL_EXPORTER_OTLP_HEADERS", Redacted.make({}), headerList, PAIRS),
    ratio: read("OTEL_TRACES_SAMPLER_ARG", 1, share, "a number from 0 to 1")
  }
}

const PAIRS = "a comma list of name=value, where a comma in a value is written as %2C"

const PROTOCOLS = ["http/json", "http/protobuf"] as const

const tracesUrl = (text: string): string | undefined => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "") return undefined
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}/v1/traces`
}

const headerList = (text: string): Redacted.Redacted<Readonly<Record<string, string>>> | undefined => {
  const pairs = pairsIn(text)
  const areHeaders = pairs?.every(([name, value]) => /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(name) && VISIBLE.test(value))
  return pairs === undefined || areHeaders !== true ? undefined : Redacted.make(Object.fromEntries(pairs))
}
const VISIBLE = /^[\x20-\x7e]*$/

/** The names and values of a list, decoded; `undefined` when one of them is none. */
const pairsIn = (text: string): ReadonlyArray<readonly [name: string, value: string]> | undefined => {
  const pairs: Array<readonly [string, string]> = []
  for (const part of text.split(",")) {
    const [, name, value] = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/.exec(part) ?? []
    const pair = [decode(name), decode(value)] as const
    if (pair[0] === undefined || pair[1] === undefined) return undefined
    pairs.push([pair[0], pair[1]])
  }
  return pairs
}

const decode = (text: string | undefined): string | undefined => {
  try {
    return text === undefined ? undefined : decodeURIComponent(text)
  } catch {
    return undefined
  }
}

const share = (text: string): number | undefined =>
  /^(0?\.\d{1,12}|[01](\.0{1,12})?)$/.test(text) ? Number(text) : undefined
