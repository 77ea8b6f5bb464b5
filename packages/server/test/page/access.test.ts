import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect } from "vitest"
import { callsOf, json } from "../client.ts"
import { itNeeds } from "../faults/needs.ts"
import { until } from "../until.ts"
import { missingBrowser } from "./chromium.ts"
import { pageTest, rowOf, whenLive } from "./page-test.ts"

const { service, open } = pageTest({ AUTH: "on", ECHO_PORT: "0" })

describe("a service that asks for keys", () => {
  itNeeds(
    missingBrowser,
    "is used from the page with a key, which goes along with everything and stays in its tab",
    async () => {
      const admin = readFileSync(join(service().folder, "admin.key"), "utf8").trim()
      const asAdmin = { authorization: `Bearer ${admin}` }
      const made = await service().fetch(
        "/api/admin/keys",
        json({ tenantId: "acme", scopes: ["read", "submit"] }, asAdmin)
      )
      const { key } = await made.json()
      await using tab = await open("?tenant=demo")
      const { page } = tab
      await page.getByLabel("This service asks for an API key").fill("esa_wrong")
      await page.getByRole("button", { name: "Use key" }).click()
      await page.getByText("This key is not live").waitFor()
      await page.getByLabel("This service asks for an API key").fill(key)
      await page.getByRole("button", { name: "Use key" }).click()
      await whenLive(page)
      await page.getByText("No calls yet for acme").waitFor()
      const submission = {
        name: "from afar",
        dueAt: "2099-01-01T00:00:00Z",
        requestSpec: { method: "GET", url: "https://example.com/" }
      }
      await service().fetch(callsOf("acme"), json(submission, asAdmin))
      await rowOf(page, "from afar").waitFor()
      const download = page.waitForEvent("download")
      await page.getByRole("link", { name: "Export" }).click()
      expect((await download).suggestedFilename()).toBe("service-calls.ndjson")
      await page.reload()
      await whenLive(page)
      expect(await page.evaluate(() => JSON.stringify(localStorage))).not.toContain("esa_")
      await page.getByRole("button", { name: "Forget key" }).click()
      await page.getByLabel("This service asks for an API key").waitFor()
      await rowOf(page, "from afar").waitFor({ state: "detached" })
      expect(await page.evaluate(() => JSON.stringify(sessionStorage))).not.toContain("esa_")
      expect(tab.complaints).toEqual([])
    }
  )

  itNeeds(missingBrowser, "offers nothing to a key that may only read but to look", async () => {
    const admin = readFileSync(join(service().folder, "admin.key"), "utf8").trim()
    const asAdmin = { authorization: `Bearer ${admin}` }
    const made = await service().fetch("/api/admin/keys", json({ tenantId: "globex", scopes: ["read"] }, asAdmin))
    const { key } = await made.json()
    const requestSpec = { method: "GET", url: "https://example.com/" }
    const call = { name: "to look at", dueAt: "2099-01-01T00:00:00Z", tags: ["kept"], requestSpec }
    await service().fetch(callsOf("globex"), json(call, asAdmin))
    await using tab = await open("?tenant=globex")
    const { page } = tab
    await page.getByLabel("This service asks for an API key").fill(key)
    await page.getByRole("button", { name: "Use key" }).click()
    await rowOf(page, "to look at").getByRole("link", { name: "to look at" }).click()
    const panel = page.getByRole("complementary", { name: "Call" })
    await panel.getByText("kept", { exact: true }).waitFor()
    await until("what changes it is off", async () => await panel.getByLabel("Tags").isDisabled())
    expect(await panel.getByRole("button", { name: "Remove the tag kept" }).count()).toBe(0)
    expect(await panel.getByRole("button", { name: "Star" }).isDisabled()).toBe(true)
    expect(await panel.getByRole("button", { name: "Cancel" }).count()).toBe(0)
    await page.getByRole("link", { name: "Request" }).click()
    await page.getByText("This key may only read").waitFor()
    expect(await page.getByRole("button", { name: "Send" }).isDisabled()).toBe(true)
    await page.getByRole("button", { name: "Forget key" }).click()
    expect(tab.complaints).toEqual([])
  })
})
