import { realpathSync } from "node:fs"
import { join } from "node:path"
import manifest from "../../package.json" with { type: "json" }
import { type Call, type Contender, pathOf } from "../contender.ts"
import { submitOverHttp } from "../http-load.ts"
import { freePort, start, startBun } from "../processes.ts"
import { bytesBelow } from "./sqlite-files.ts"

const SERVICE = join(import.meta.dirname, "../peers/restate-service.ts")
const PACKAGE = join(import.meta.dirname, "../../node_modules/@restatedev/restate-server")

/** The program inside the package for this platform, which the package's own command would start as a grandchild. */
const program: string | undefined = (() => {
  try {
    const platform = `${process.platform}-${process.arch}`
    return Bun.resolveSync(`@restatedev/restate-server-${platform}/bin/restate-server`, realpathSync(PACKAGE))
  } catch {
    return undefined
  }
})()

export const restate: Contender = {
  name: "restate-server",
  settings:
    `${manifest.dependencies["@restatedev/restate-server"]}, HTTP in, one node, its defaults (the log is synced), ` +
    "a service over HTTP/2 whose handler sends in a durable step",
  missing: program === undefined ? "its package is not installed, or has no program for this platform" : undefined,
  start: async ({ folder, targetUrl }) => {
    const launchedAt = performance.now()
    const [ingress, admin, fabric, endpoint] = [freePort(), freePort(), freePort(), freePort()]
    const service = startBun([SERVICE, String(endpoint)], { env: { RESTATE_LOGGING: "ERROR" } })
    const server = start(
      [
        program ?? "",
        "--no-logo",
        "--listen-mode",
        "tcp",
        "--node-name",
        "bench",
        "--base-dir",
        join(folder, "restate")
      ],
      {
        folder,
        env: {
          RESTATE_DISABLE_TELEMETRY: "true",
          RESTATE_LOG_FILTER: "warn,restate_server=info",
          RESTATE_BIND_ADDRESS: `127.0.0.1:${fabric}`,
          RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${admin}`,
          RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingress}`
        }
      }
    )
    const stop = async () => {
      await server.end()
      await service.end()
    }
    try {
      await service.ready((line) => line.startsWith("listening"))
      await register(`http://127.0.0.1:${admin}`, `http://127.0.0.1:${endpoint}`)
    } catch (error) {
      await stop()
      throw error
    }
    const startedInMs = performance.now() - launchedAt
    const url = new URL(`http://127.0.0.1:${ingress}`)
    const open = () => openInvocations(`http://127.0.0.1:${admin}`)
    let submitted = await open()
    return {
      submit: async (calls, clients) => {
        const result = await submitOverHttp(url, calls, clients, (call) => submission(call, targetUrl), 202)
        submitted += calls.length
        return result
      },
      finished: async () => submitted - (await open()),
      pids: [server.pid, service.pid],
      startedInMs,
      bytesOnDisk: async () => bytesBelow(folder),
      stop
    }
  }
}

const submission = (call: Call, targetUrl: string) => ({
  path: `/bench/call/send${call.dueAt === null ? "" : `?delay=${Math.max(0, call.dueAt - Date.now())}ms`}`,
  body: JSON.stringify({ url: targetUrl + pathOf(call) })
})

const json = (body: object): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json", accept: "application/json" },
  body: JSON.stringify(body)
})

const READY_MS_MAX = 30_000
const RETRY_MS = 50

/** Tells the server where the service is, as soon as it listens. */
const register = (admin: string, uri: string): Promise<void> =>
  eventually(async () => (await fetch(`${admin}/deployments`, json({ uri }))).ok || undefined).then(() => {})

/** Right after its start the server cannot answer yet. */
const openInvocations = (admin: string): Promise<number> =>
  eventually(async () => {
    const query = "SELECT count(*) AS calls FROM sys_invocation WHERE status <> 'completed'"
    const response = await fetch(`${admin}/query`, json({ query }))
    const answer: { readonly rows: ReadonlyArray<{ readonly calls: number }> } | undefined = response.ok
      ? await response.json()
      : undefined
    return answer?.rows[0]?.calls
  })

const eventually = async <A>(ask: () => Promise<A | undefined>): Promise<A> => {
  for (const startedAt = performance.now(); ; ) {
    const answer = await ask().catch(() => undefined)
    if (answer !== undefined) return answer
    if (performance.now() - startedAt > READY_MS_MAX) throw new Error("restate-server does not answer")
    await Bun.sleep(RETRY_MS)
  }
}
