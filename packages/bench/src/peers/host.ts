import type { Call, Submitted } from "../contender.ts"
import { open as openBullMq } from "./bullmq.ts"
import { open as openBunqueue } from "./bunqueue.ts"
import { open as openGraphileWorker } from "./graphile-worker.ts"
import type { OpenPeer } from "./peer.ts"
import { open as openPgBoss } from "./pg-boss.ts"

/**
 * A program that uses a job library as its documentation shows: it submits, and its worker performs. The load is
 * generated in here, so that a submission is a call of the library and not one over HTTP: in the peers' favour.
 */
const peers: Readonly<Record<string, OpenPeer>> = {
  bullmq: openBullMq,
  bunqueue: openBunqueue,
  "graphile-worker": openGraphileWorker,
  "pg-boss": openPgBoss
}

const [name = "", targetUrl = "", folder = "", serverUrl = ""] = process.argv.slice(2)
const peer = await peers[name]?.({ targetUrl, folder, serverUrl })
if (peer === undefined) throw new Error(`there is no peer ${name}`)

const submitAll = async (calls: ReadonlyArray<Call>, clients: number): Promise<Submitted> => {
  const latenciesMs: Array<number> = []
  const rest = calls.values()
  const client = async () => {
    for (const call of rest) {
      const sentAt = performance.now()
      await peer.submit(call)
      latenciesMs.push(performance.now() - sentAt)
    }
  }
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: clients }, client))
  return { tookMs: performance.now() - startedAt, latenciesMs: latenciesMs.sort((a, b) => a - b) }
}

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  idleTimeout: 0,
  maxRequestBodySize: 256 * 1_048_576,
  fetch: async (request) => {
    if (request.method === "GET") return Response.json(await peer.finished())
    const { calls, clients } = await request.json()
    return Response.json(await submitAll(calls, clients))
  }
})
process.on("SIGTERM", () => peer.close().finally(() => process.exit(0)))
console.log(`listening ${server.port}`)
