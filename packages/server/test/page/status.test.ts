import { describe, expect } from "vitest"
import { callsOf, detailOf, json, sideBySide, submit } from "../client.ts"
import { itNeeds } from "../faults/needs.ts"
import { freePort } from "../free-port.ts"
import { until } from "../until.ts"
import { missingBrowser } from "./chromium.ts"
import { namesIn, pageTest, rowOf, whenLive } from "./page-test.ts"

/** The same one after a restart: the page knows no other. */
const port = freePort()
const { service, open } = pageTest({ PORT: String(port) })
const it = (behaviour: string, body: () => Promise<void>) => itNeeds(missingBrowser, behaviour, body)

const STORED = 10_000
const NEXT_YEAR = new Date(Date.now() + 365 * 86_400_000).toISOString()
/** Nobody may wait longer for a page of the list, even where the machine is busy. */
const PAGE_MS_MAX = 2_000

const armed = (tenant: string, name: string, tags: ReadonlyArray<string> = []) =>
  submit(service(), tenant, {
    name,
    tags,
    dueAt: NEXT_YEAR,
    requestSpec: { method: "GET", url: "https://example.com/" }
  })

describe("the status view", () => {
  it("narrows the list by state, text and tag, in the address, with a way back", async () => {
    await armed("filter", "alpha", ["red"])
    await armed("filter", "beta", ["blue"])
    const cancelled = await armed("filter", "gamma", ["red"])
    await service().fetch(`${callsOf("filter")}/${cancelled.serviceCallId}/cancel`, json({}))
    await using tab = await open("?tenant=filter")
    const { page } = tab
    await rowOf(page, "gamma").waitFor()
    expect(await namesIn(page)).toEqual(["gamma", "beta", "alpha"])
    await page.getByRole("link", { name: "Scheduled 2" }).click()
    await rowOf(page, "gamma").waitFor({ state: "detached" })
    expect(new URL(page.url()).searchParams.get("status")).toBe("Scheduled")
    await rowOf(page, "alpha").getByRole("button", { name: "red" }).click()
    await rowOf(page, "beta").waitFor({ state: "detached" })
    expect(await namesIn(page)).toEqual(["alpha"])
    await page.goBack()
    await rowOf(page, "beta").waitFor()
    await page.getByLabel("Search in name and URL").fill("BET")
    await rowOf(page, "alpha").waitFor({ state: "detached" })
    expect(await namesIn(page)).toEqual(["beta"])
    await page.getByLabel("Search in name and URL").fill("nothing of the kind")
    await page.getByText("No call fits these filters").waitFor()
    await page.getByRole("button", { name: "Show all calls" }).click()
    await rowOf(page, "gamma").waitFor()
    expect(tab.complaints).toEqual([])
  })

  it("keeps a star, and counts it", async () => {
    const { serviceCallId } = await armed("star", "remember me", ["red"])
    await using tab = await open("?tenant=star")
    const { page } = tab
    await rowOf(page, "remember me").getByRole("button", { name: "Star remember me" }).click()
    await page.getByRole("link", { name: "Starred 1" }).click()
    await rowOf(page, "remember me").waitFor()
    expect([...(await detailOf(service(), "star", serviceCallId)).tags].sort()).toEqual(["red", "starred"])
    await rowOf(page, "remember me").getByRole("button", { name: "Take the star" }).click()
    await page.getByRole("link", { name: "Starred 0" }).waitFor()
  })

  it("cancels with a second click, and shows it in the row and in the panel", async () => {
    const { serviceCallId } = await armed("cancel", "call me off")
    await using tab = await open(`?tenant=cancel&call=${serviceCallId}`)
    const { page } = tab
    await page.getByRole("button", { name: "Cancel" }).click()
    expect((await detailOf(service(), "cancel", serviceCallId)).status).toBe("Scheduled")
    await page.getByRole("button", { name: "Click again to cancel it" }).click()
    await page.locator('.panel [data-status="Cancelled"]').waitFor()
    await rowOf(page, "call me off").locator('[data-status="Cancelled"]').waitFor()
    expect((await detailOf(service(), "cancel", serviceCallId)).status).toBe("Cancelled")
    await page.getByLabel("Tags", { exact: true }).last().fill("late, lost")
    await page.keyboard.press("Enter")
    await until("the tags are there", async () => {
      const { tags } = await detailOf(service(), "cancel", serviceCallId)
      return [...tags].sort().join() === "late,lost"
    })
    expect(tab.complaints).toEqual([])
  })

  it("changes rows where they are, and tells of new calls without moving them", async () => {
    const first = await armed("live", "first")
    await armed("live", "second")
    await using tab = await open("?tenant=live")
    const { page } = tab
    await rowOf(page, "first").waitFor()
    await whenLive(page)
    const before = await rowOf(page, "first").boundingBox()
    await armed("live", "third")
    await service().fetch(`${callsOf("live")}/${first.serviceCallId}/cancel`, json({}))
    await rowOf(page, "first").locator('[data-status="Cancelled"]').waitFor()
    await page.getByRole("button", { name: "1 new" }).waitFor()
    expect(await namesIn(page)).toEqual(["second", "first"])
    expect(await rowOf(page, "first").boundingBox()).toEqual(before)
    await page.getByRole("link", { name: "Cancelled 1" }).waitFor()
    await page.getByRole("button", { name: "1 new" }).click()
    await rowOf(page, "third").waitFor()
    expect(await namesIn(page)).toEqual(["third", "second", "first"])
    expect(tab.complaints).toEqual([])
  })

  it("recovers by itself when the program is started again", async () => {
    const { url } = service()
    const { serviceCallId } = await armed("restart", "patient")
    await using tab = await open("?tenant=restart")
    const { page } = tab
    await rowOf(page, "patient").waitFor()
    await whenLive(page)
    await service().kill("SIGKILL")
    await page.locator('.live-mark[data-live="false"]').waitFor()
    await page.getByText("does not answer").waitFor()
    await service().restart()
    expect(service().url).toBe(url)
    await service().fetch(`${callsOf("restart")}/${serviceCallId}/cancel`, json({}))
    await whenLive(page)
    await rowOf(page, "patient").locator('[data-status="Cancelled"]').waitFor()
    await page.locator(".warning-line").waitFor({ state: "detached" })
    expect(tab.complaints).toEqual([])
  })

  it("turns the pages of 10,000 calls without a stutter", async () => {
    await sideBySide(Array(STORED).keys(), 64, async (n) => {
      await service().fetch(
        callsOf("many"),
        json({ name: `call ${n}`, dueAt: NEXT_YEAR, requestSpec: { method: "GET", url: "https://example.com/" } })
      )
    })
    await using tab = await open("?tenant=many")
    const { page } = tab
    await page.getByText("1–20 of 10,000").waitFor()
    const tookMs: Array<number> = []
    for (let at = 20; at < 200; at += 20) {
      const startedAt = performance.now()
      await page.getByRole("button", { name: "Next" }).click()
      await page.getByText(`${at + 1}–${at + 20} of 10,000`).waitFor()
      tookMs.push(Math.round(performance.now() - startedAt))
    }
    // What other programs do may delay one of them.
    expect(tookMs.toSorted((one, other) => one - other).at(-2)).toBeLessThan(PAGE_MS_MAX)
    await page.reload()
    await page.getByText("181–200 of 10,000").waitFor()
    await page.getByRole("button", { name: "Previous" }).click()
    await page.getByText("161–180 of 10,000").waitFor()
    await page.goBack()
    await page.getByText("181–200 of 10,000").waitFor()
    expect(tab.complaints).toEqual([])
  })
})
