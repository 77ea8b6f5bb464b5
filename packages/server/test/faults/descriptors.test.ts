import { connect, type Socket } from "node:net"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { detailOf, submit, TERMINAL } from "../client.ts"
import { countingTarget } from "../counting-target.ts"
import { removeLeftovers, Service } from "../process.ts"
import { until } from "../until.ts"

const TENANT = "acme"
const DESCRIPTORS_MAX = 200
const CALLS = 10
const DUE_IN_MS = 6_000
const MAIN = join(import.meta.dirname, "../../src/main.ts")

afterAll(removeLeftovers)

describe("idle clients that take every file descriptor", () => {
  it("end nothing: due calls wait for a free one, and are made once", async () => {
    await using target = countingTarget()
    const command = ["sh", "-c", `ulimit -n ${DESCRIPTORS_MAX}; exec "$0" "$1"`, process.execPath, MAIN]
    await using service = await Service.start({ EGRESS_ALLOW: target.host }, { command })
    const dueAt = new Date(Date.now() + DUE_IN_MS).toISOString()
    const requestSpec = { method: "POST", url: target.url } as const
    const calls = await Promise.all(
      Array.from(Array(CALLS), () => submit(service, TENANT, { name: "due", dueAt, timeoutMs: 60_000, requestSpec }))
    )
    // It has written nothing since its start.
    await service.kill("SIGTERM")
    await service.restart()
    const { hostname, port } = new URL(service.url)
    const sockets: Array<Socket> = []
    for (let n = 0; n < 2 * DESCRIPTORS_MAX; n++) {
      sockets.push(connect(Number(port), hostname).on("error", () => {}))
    }
    // Nothing but the log can be asked now: who would connect, waits as well.
    const isTaken = () => service.logs.filter(({ message }) => message === "service call Running").length === CALLS
    await until("all calls are released", isTaken, 20_000)
    for (const socket of sockets) socket.destroy()

    const outcomes = () => Promise.all(calls.map(({ serviceCallId }) => detailOf(service, TENANT, serviceCallId)))
    const ended = await until("all calls have ended", async () => {
      const details = await outcomes()
      return details.every(({ status }) => TERMINAL.has(status)) && details
    })
    expect(ended.map(({ status }) => status)).toEqual(Array(CALLS).fill("Succeeded"))
    expect(calls.map(({ serviceCallId }) => target.byKey.get(serviceCallId)?.length)).toEqual(Array(CALLS).fill(1))
  })
})
