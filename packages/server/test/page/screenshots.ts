import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { callsOf, detailOf, json, type Submission, submit } from "../client.ts"
import { countingTarget } from "../counting-target.ts"
import { removeLeftovers, Service } from "../process.ts"
import { until } from "../until.ts"
import { launch, openTab, PHONE, type View } from "./chromium.ts"
import { whenLive } from "./page-test.ts"

/** `bun packages/server/test/page/screenshots.ts`: writes the pictures of the documents. */
const FOLDER = join(import.meta.dirname, "../../../../docs/screenshots")
const TENANT = "demo"
/** Smaller than a desk's screen, so that the pictures stay small. */
const DOCUMENT: View = { width: 1280, height: 800 }
const HOUR_MS = 3_600_000

const inMs = (millis: number): string => new Date(Date.now() + millis).toISOString()

/** A day in the life of a tenant. */
const callsTo = (target: string, closed: string): ReadonlyArray<Submission> => {
  const post = (path: string, body: object) => ({
    method: "POST" as const,
    url: target + path,
    headers: { "content-type": "application/json", authorization: "Bearer not-a-real-token" },
    body: JSON.stringify(body)
  })
  const get = (path: string) => ({ method: "GET" as const, url: target + path })
  return [
    { name: "warm the product cache", tags: ["shop"], requestSpec: get("/cache/warm") },
    { name: "invoice 20417 to accounting", tags: ["billing"], requestSpec: post("/invoices", { invoice: 20417 }) },
    { name: "invoice 20418 to accounting", tags: ["billing"], requestSpec: post("/invoices", { invoice: 20418 }) },
    { name: "refresh exchange rates", tags: ["billing", "hourly"], requestSpec: get("/rates") },
    { name: "notify the warehouse", tags: ["shop"], requestSpec: post("/down", { order: 9912 }) },
    {
      name: "sync customer 1044",
      tags: ["crm"],
      requestSpec: post("/customers/1044", { plan: "team" }),
      keepRequest: true
    },
    { name: "ping the legacy gateway", tags: ["crm"], requestSpec: { method: "GET", url: `${closed}/` } },
    { name: "rebuild the search index", tags: ["shop", "nightly"], requestSpec: post("/index", { full: true }) },
    { name: "send welcome mail", tags: ["crm"], requestSpec: post("/mail", { template: "welcome" }) },
    {
      name: "export orders to the warehouse",
      tags: ["shop", "nightly"],
      requestSpec: post("/slow", { since: "yesterday" })
    },
    {
      name: "charge subscription 771",
      tags: ["billing"],
      dueAt: inMs(2 * HOUR_MS),
      requestSpec: post("/charge", { id: 771 })
    },
    {
      name: "trial ends: remind",
      tags: ["crm"],
      dueAt: inMs(26 * HOUR_MS),
      requestSpec: post("/mail", { template: "trial" })
    },
    {
      name: "nightly report",
      tags: ["nightly"],
      dueAt: inMs(9 * HOUR_MS),
      requestSpec: post("/report", { day: "today" })
    },
    { name: "close the sale", tags: ["shop"], dueAt: inMs(50 * HOUR_MS), requestSpec: post("/sale/close", { sale: 8 }) }
  ]
}

const answer = async ({ path }: { readonly path: string }): Promise<Response> => {
  if (path === "/down") return Response.json({ error: "maintenance until 06:00" }, { status: 503 })
  if (path === "/slow") await Bun.sleep(60_000)
  return Response.json({ ok: true, id: "9b1d", accepted: 1, queue: "main" })
}

const fill = async (service: Service, target: string): Promise<string> => {
  const ids = new Map<string, string>()
  for (const call of callsTo(target, "http://127.0.0.1:9")) {
    const timeoutMs = 60_000
    ids.set(call.name, (await submit(service, TENANT, { ...call, timeoutMs })).serviceCallId)
  }
  const idOf = (name: string) => ids.get(name) ?? ""
  const change = (name: string, path: string, method: string, body: object) =>
    service.fetch(`${callsOf(TENANT)}/${idOf(name)}/${path}`, { ...json(body), method })
  await change("close the sale", "cancel", "POST", { reason: "the sale goes on" })
  for (const [name, tag] of [
    ["invoice 20418 to accounting", "billing"],
    ["nightly report", "nightly"]
  ] as const) {
    await change(name, "tags", "PUT", { tags: [tag, "starred"] })
  }
  const failed = idOf("notify the warehouse")
  await until("the call has failed", async () => (await detailOf(service, TENANT, failed)).status === "Failed")
  return failed
}

const shoot = async () => {
  mkdirSync(FOLDER, { recursive: true })
  await using target = countingTarget(answer)
  await using service = await Service.start({ EGRESS_ALLOW: `${target.host},127.0.0.1:9`, ECHO_PORT: "0" })
  const failed = await fill(service, target.url)
  const browser = await launch()
  const views: ReadonlyArray<readonly [name: string, view: View, query: string]> = [
    ["status-light", DOCUMENT, `?tenant=${TENANT}&call=${failed}`],
    ["status-dark", { ...DOCUMENT, colorScheme: "dark" }, `?tenant=${TENANT}`],
    ["request-light", DOCUMENT, `?tenant=${TENANT}&view=request`],
    ["phone-status-light", PHONE, `?tenant=${TENANT}`],
    ["phone-call-dark", { ...PHONE, colorScheme: "dark" }, `?tenant=${TENANT}&call=${failed}`]
  ]
  try {
    for (const [name, view, query] of views) {
      await using tab = await openTab(browser, `${service.url}/${query}`, view)
      const { page } = tab
      await whenLive(page)
      if (query.includes("view=request")) {
        await page.getByRole("button", { name: "Echo" }).click()
        await page.locator(".cm-content").waitFor()
        await page.getByRole("button", { name: "Send" }).click()
        await page.getByText("Response body").waitFor()
      } else await page.locator("[data-row]").first().waitFor()
      if (query.includes("call=")) await page.getByText("Correlation id").waitFor()
      await page.mouse.move(0, 0)
      await page.screenshot({ path: join(FOLDER, `${name}.png`) })
      for (const complaint of tab.complaints) console.error(`${name}: ${complaint}`)
    }
  } finally {
    await browser.close()
  }
}

await shoot().finally(removeLeftovers)
