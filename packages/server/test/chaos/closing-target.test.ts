import { createServer, type Socket } from "node:net"
import { afterAll, describe, expect, it } from "vitest"
import { detailOf, listAll, sideBySide, submit } from "../client.ts"
import { removeLeftovers, Service } from "../process.ts"
import { untilAllEnded } from "./observe.ts"

const CALLS = 1_000
/** Every fifth call is answered, and offers its connection for the next one. */
const ANSWERED = 250
const CLIENTS = 32
const TENANT = "acme"
const METHODS = ["GET", "PUT", "DELETE"] as const
const KEEP_ALIVE = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"

afterAll(removeLeftovers)

describe("a target that reads a request and closes without an answer", () => {
  it("gets each request exactly once, also where it answered before, and the call says so", async () => {
    await using target = await listen((path, socket) => {
      if (path.startsWith("/answered")) socket.write(KEEP_ALIVE)
      else if (path.startsWith("/reset")) socket.resetAndDestroy()
      else socket.end()
    })
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    await sideBySide(Array(CALLS + ANSWERED).keys(), CLIENTS, async (number) => {
      const method = METHODS[number % METHODS.length] ?? "GET"
      const how = number % 5 === 0 ? "answered" : number % 10 < 5 ? "reset" : "closed"
      const url = `http://${target.host}/${how}/${number}`
      const body = method === "PUT" ? { body: `${number}` } : {}
      await submit(service, TENANT, { name: how, requestSpec: { method, url, ...body } })
    })
    await untilAllEnded(service, 60_000)

    const calls = await listAll(service, TENANT)
    expect(target.requests.size).toBe(CALLS + ANSWERED)
    const seen = calls.map(({ serviceCallId, name, status, failure }) => {
      const end = failure === null ? status : `${failure.kind}, sent: ${failure.sent}`
      return `${name}, requests: ${target.requests.get(serviceCallId)}, ${end}`
    })
    const counts = Object.fromEntries([...Map.groupBy(seen, (line) => line)].map(([line, all]) => [line, all.length]))
    expect(counts).toEqual({
      "answered, requests: 1, Succeeded": ANSWERED,
      "closed, requests: 1, ConnectionClosed, sent: maybe": CALLS / 2,
      "reset, requests: 1, ConnectionClosed, sent: maybe": CALLS / 2
    })
    const cutOff = calls.find((call) => call.status === "Failed")
    const { outcome, attempt } = await detailOf(service, TENANT, cutOff?.serviceCallId ?? "")
    expect(outcome).toMatchObject({ type: "Failed", error: { kind: "ConnectionClosed", sent: "maybe" } })
    expect(attempt?.number).toBe(1)
  })
})

/** A raw server on loopback that counts whole requests by their Idempotency-Key, and then does as it is told. */
const listen = async (behave: (path: string, socket: Socket) => void) => {
  const requests = new Map<string, number>()
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    let text = ""
    sockets.add(socket)
    socket.on("error", () => {})
    socket.on("close", () => sockets.delete(socket))
    socket.on("data", (data) => {
      text += data.toString("latin1")
      const [head = "", ...body] = text.split("\r\n\r\n")
      const bodyBytes = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0)
      if (body.length === 0 || body.join("").length < bodyBytes) return
      text = ""
      const key = /^idempotency-key: (\S+)/im.exec(head)?.[1] ?? ""
      requests.set(key, (requests.get(key) ?? 0) + 1)
      behave(head.split(" ")[1] ?? "", socket)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  return {
    host: `127.0.0.1:${typeof address === "object" ? address?.port : 0}`,
    requests,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    }
  }
}
