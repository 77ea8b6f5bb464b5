import { callsOf, json, submit } from "@event-service-agent/server/testing/client"
import { countingTarget } from "@event-service-agent/server/testing/counting-target"
import { freePort } from "@event-service-agent/server/testing/free-port"
import { removeLeftovers, Service } from "@event-service-agent/server/testing/process"
import { until } from "@event-service-agent/server/testing/until"
import { afterAll, describe, expect, it } from "vitest"
import { commandOfEsa, startEsa } from "./esa.ts"

const WAIT_MS_MAX = 30_000

afterAll(removeLeftovers)

/** The command while it runs, with what it has said so far. */
const watching = async (url: string, ...args: ReadonlyArray<string>) => {
  const child = await startEsa(["watch", ...args], { env: { ESA_URL: url } })
  const said = { stdout: "", stderr: "" }
  const read = async (from: "stdout" | "stderr") => {
    const decoder = new TextDecoder()
    for await (const chunk of child[from]) said[from] += decoder.decode(chunk, { stream: true })
  }
  const ended = Promise.all([read("stdout"), read("stderr"), child.exited])
  return {
    child,
    said,
    lines: () => said.stdout.split("\n").slice(0, -1),
    isWatching: () => until("it watches", () => said.stderr.includes("watching"), WAIT_MS_MAX),
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL")
      await ended
    }
  }
}

const call = (name: string, url: string) => ({ name, requestSpec: { method: "GET" as const, url } })

describe("esa watch", () => {
  it("shows a line for each change of the tenant's calls, and only those that are asked for", async () => {
    await using target = countingTarget(({ path }) => new Response("", { status: path === "/broken" ? 500 : 200 }))
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    await using all = await watching(service.url)
    await using failures = await watching(service.url, "--status", "failed")
    await Promise.all([all.isWatching(), failures.isWatching()])
    await submit(service, "other", call("not mine", target.url))
    const { serviceCallId } = await submit(service, "demo", call("mine", `${target.url}/broken`))
    await until("all four are there", () => all.lines().length >= 4, WAIT_MS_MAX)
    const changes = all.lines().map((line) => /^[\d:.]+ {2}(\w+) +(\S+) {2}mine/.exec(line)?.slice(1, 3))
    expect(changes).toEqual(["Submitted", "Scheduled", "Running", "Failed"].map((status) => [status, serviceCallId]))
    await until("the failure is there", () => failures.lines().length > 0, WAIT_MS_MAX)
    expect(failures.lines()).toHaveLength(1)
    expect(failures.lines()[0]).toMatch(/Failed .*HttpStatus.*sent: yes/)
  })

  it("ends when its reader has seen enough", async () => {
    await using target = countingTarget()
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const pipe = '"$0" "$1" watch --json | head -n 1'
    const child = Bun.spawn(["bash", "-c", pipe, ...(await commandOfEsa())], {
      env: { PATH: process.env["PATH"] ?? "", ESA_URL: service.url },
      stdout: "pipe",
      stderr: "ignore"
    })
    await until(
      "it has ended",
      async () => {
        await submit(service, "demo", call("one more", target.url))
        return child.exitCode !== null
      },
      WAIT_MS_MAX
    )
    expect(JSON.parse(await new Response(child.stdout).text())).toHaveProperty("serviceCallId")
  })

  it("misses nothing while the service is away, and comes back by itself", async () => {
    await using target = countingTarget()
    // The same port after the restart.
    await using service = await Service.start({ EGRESS_ALLOW: target.host, PORT: String(freePort()) })
    await using watch = await watching(service.url, "--json")
    await watch.isWatching()
    const ids = () => watch.lines().map((line): string => JSON.parse(line).serviceCallId)
    const first = await submit(service, "demo", call("first", target.url))
    await until("the first is there", () => ids().filter((id) => id === first.serviceCallId).length === 4, WAIT_MS_MAX)
    // What happens last before the end may not have been shown.
    const accepted = await service.fetch(callsOf("demo"), json(call("second", target.url)))
    await service.kill("SIGKILL")
    await until("it has noticed", () => watch.said.stderr.includes("the connection is lost"), WAIT_MS_MAX)
    await service.restart()
    const third = await submit(service, "demo", call("third", target.url))
    await until("the third is there", () => ids().filter((id) => id === third.serviceCallId).length === 4, WAIT_MS_MAX)
    const { serviceCallId: second }: { readonly serviceCallId: string } = await accepted.json()
    const counts = [first.serviceCallId, second, third.serviceCallId].map(
      (id) => ids().filter((one) => one === id).length
    )
    expect(counts).toEqual([4, 4, 4])
    expect(watch.said.stderr.match(/connection is lost/g)).toHaveLength(1)
    expect(watch.said.stderr).toContain("watching again")
  })
})
