import { afterAll, describe, expect } from "vitest"
import { callsOf, detailOf, submit } from "../client.ts"
import { countingTarget } from "../counting-target.ts"
import { itNeeds } from "../faults/needs.ts"
import { freePort } from "../free-port.ts"
import { changeStored } from "../stored.ts"
import { until } from "../until.ts"
import { missingBrowser } from "./chromium.ts"
import { namesIn, pageTest, rowOf } from "./page-test.ts"

/** A target that answers when it is told to. */
let held = Promise.withResolvers<void>()
const target = countingTarget(async () => {
  await held.promise
  return new Response("ok")
})
const ONE_AT_A_TIME = { IN_FLIGHT_PER_TENANT_MAX: "1" }
/** The same one after a restart: the page knows no other. */
const { service, open } = pageTest({
  PORT: String(freePort()),
  EGRESS_ALLOW: target.host,
  ECHO_PORT: "off",
  ...ONE_AT_A_TIME
})
const it = (behaviour: string, body: () => Promise<void>) => itNeeds(missingBrowser, behaviour, body)

afterAll(async () => {
  held.resolve()
  await target[Symbol.asyncDispose]()
})

describe("in trouble, the page", () => {
  it("says so when the service is killed before it has answered, and sending again makes no second call", async () => {
    await using tab = await open("?tenant=killed&view=request")
    const { page } = tab
    await page.getByLabel("URL", { exact: true }).fill(target.url)
    await page.getByRole("button", { name: "Send" }).click()
    await page.getByText("Waiting for the outcome").waitFor()
    await until("the target has it", () => target.count === 1)
    await service().kill("SIGKILL")
    await page.getByText("Whether it got the call is not known").waitFor()
    await service().restart()
    await page.getByRole("button", { name: "Send" }).click()
    const result = page.getByRole("region", { name: "Response" })
    await result.getByText("OutcomeUnknown").waitFor()
    // Nobody knows whether it was sent, so the page does not say either.
    expect(await result.locator(".figures dd").allTextContents()).toEqual(["unknown", "–", "unknown", "–"])
    expect((await (await service().fetch(`${callsOf("killed")}/stats`)).json()).total).toBe(1)
    expect(target.count).toBe(1)
    expect(tab.complaints).toEqual([])
  })

  it("tells that the service is stopping while calls are under way, and what became of them", async () => {
    held = Promise.withResolvers()
    const before = target.count
    await using tab = await open("?tenant=draining&view=request")
    const { page } = tab
    await page.getByLabel("URL", { exact: true }).fill(target.url)
    await page.getByRole("button", { name: "Send" }).click()
    await until("the target has it", () => target.count === before + 1)
    service().signal("SIGTERM")
    await page.locator(".warning-line").getByText("The agent is stopping").waitFor()
    held.resolve()
    await page.getByRole("region", { name: "Response" }).getByText("Succeeded").waitFor()
    expect((await service().ended()).exitCode).toBe(0)
    await service().restart()
    await page.locator(".warning-line").waitFor({ state: "detached" })
    expect(tab.complaints).toEqual([])
  })

  it("counts the calls that are overdue, and leads to them", async () => {
    held = Promise.withResolvers()
    const before = target.count
    const waits = (name: string) =>
      submit(service(), "overdue", { name, requestSpec: { method: "POST", url: target.url } })
    await waits("running")
    await until("the target has it", () => target.count === before + 1)
    const { serviceCallId } = await waits("forgotten")
    await until(
      "it waits for a place",
      async () => (await detailOf(service(), "overdue", serviceCallId)).status === "Scheduled"
    )
    const earlier = "UPDATE service_calls SET due_at = due_at - 20000, accepted_at = accepted_at - 20000"
    changeStored(service().dbPath, `${earlier} WHERE service_call_id = ?`, serviceCallId)
    await using tab = await open("?tenant=overdue")
    const { page } = tab
    await page.locator(".warning-line").getByText("1 call is overdue").waitFor()
    await page.getByRole("link", { name: "Show them" }).click()
    await rowOf(page, "running").waitFor({ state: "detached" })
    expect(await namesIn(page)).toEqual(["forgotten"])
    held.resolve()
    await page.locator(".warning-line").waitFor({ state: "detached" })
    expect(tab.complaints).toEqual([])
  })

  it("names an address that leads nowhere", async () => {
    await using tab = await open("?tenant=no%20tenant&call=nope")
    const { page } = tab
    await page.getByText("A tenant has 1 to 64 letters").waitFor()
    await page.getByText("no such service call").waitFor()
    expect(await page.getByRole("button", { name: "Try again" }).count()).toBe(0)
    expect(tab.complaints).toEqual([])
  })
})
