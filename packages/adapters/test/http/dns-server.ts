import { createSocket, type RemoteInfo } from "node:dgram"
import { Resolver } from "node:dns/promises"
import { Effect, Layer } from "effect"
import { HostResolver, LookupFailed } from "../../src/http/host-resolver.ts"

/** What a name has: addresses of both families, perhaps under another name; `silent` is no answer at all. */
export type Zone = "silent" | { readonly alias?: string; readonly addresses: ReadonlyArray<string> }

export interface DnsServer {
  readonly port: number
  /** The names that were asked for, with the type of the record: 1 is A, 28 is AAAA. */
  readonly questions: Array<readonly [name: string, type: number]>
}

const TYPE = { A: 1, CNAME: 5, AAAA: 28 }
/** Recursion is there; no error. */
const ANSWER_FLAGS = 0x8180
const HEADER_BYTES = 12

/** A name server on UDP that answers every name as `zoneOf` says at that moment, never to be kept (TTL 0). */
export const dnsServer = (zoneOf: (name: string, type: number) => Zone, address = "127.0.0.1", port = 0) =>
  Effect.acquireRelease(
    Effect.callback<DnsServer & { readonly close: () => void }>((resume) => {
      const socket = createSocket("udp4")
      const questions: DnsServer["questions"] = []
      socket.on("message", (query: Buffer, from: RemoteInfo) => {
        const { name, type, end } = questionOf(query)
        questions.push([name, type])
        const zone = zoneOf(name, type)
        if (zone !== "silent") socket.send(answerTo(query.subarray(0, end), type, zone), from.port, from.address)
      })
      socket.on("error", (error) => resume(Effect.die(error)))
      socket.bind(port, address, () => {
        resume(Effect.succeed({ port: socket.address().port, questions, close: () => socket.close() }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

/** Finds addresses by asking that server alone, each name for both families. */
export const layerAsking = ({ port }: DnsServer) => {
  // A name that has the other family only is no failure.
  const none = () => []
  return Layer.succeed(HostResolver, {
    addressesOf: Effect.fnUntraced(function* (host) {
      // One of them would ask once for all who want to know the same at the same time.
      const resolver = new Resolver({ timeout: 2_000, tries: 3 })
      resolver.setServers([`127.0.0.1:${port}`])
      const [four, six] = yield* Effect.promise(() =>
        Promise.all([resolver.resolve4(host).catch(none), resolver.resolve6(host).catch(none)])
      )
      const found = [...four, ...six]
      return found.length === 0 ? yield* new LookupFailed({ code: "ENOTFOUND" }) : found
    })
  })
}

const questionOf = (query: Buffer) => {
  const labels: Array<string> = []
  let at = HEADER_BYTES
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join("."), type: query.readUInt16BE(at + 1), end: at + 5 }
}

const answerTo = (query: Buffer, type: number, { alias, addresses }: Exclude<Zone, "silent">): Buffer => {
  const owner = alias === undefined ? Buffer.from([0xc0, HEADER_BYTES]) : nameBytes(alias)
  const records = addresses
    .filter((address) => type === (address.includes(":") ? TYPE.AAAA : TYPE.A))
    .map((address) => record(owner, type, addressBytes(address)))
  if (alias !== undefined) records.unshift(record(Buffer.from([0xc0, HEADER_BYTES]), TYPE.CNAME, nameBytes(alias)))
  const header = Buffer.alloc(HEADER_BYTES)
  query.copy(header, 0, 0, 2)
  header.writeUInt16BE(ANSWER_FLAGS, 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(records.length, 6)
  return Buffer.concat([header, query.subarray(HEADER_BYTES), ...records])
}

const record = (owner: Buffer, type: number, data: Buffer): Buffer => {
  const fixed = Buffer.alloc(10)
  fixed.writeUInt16BE(type, 0)
  fixed.writeUInt16BE(1, 2)
  fixed.writeUInt16BE(data.byteLength, 8)
  return Buffer.concat([owner, fixed, data])
}

const nameBytes = (name: string): Buffer =>
  Buffer.concat([...name.split(".").map((label) => Buffer.from([label.length, ...Buffer.from(label)])), Buffer.of(0)])

const addressBytes = (address: string): Buffer => {
  if (!address.includes(":")) return Buffer.from(address.split(".").map(Number))
  const [head = [], tail = []] = new URL(`http://[${address}]`).hostname
    .slice(1, -1)
    .split("::")
    .map((part) => part.split(":").filter((group) => group !== ""))
  const groups = [...head, ...Array<string>(8 - head.length - tail.length).fill("0"), ...tail]
  return Buffer.from(groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]))
}
