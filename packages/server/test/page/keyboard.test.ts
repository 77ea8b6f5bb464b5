import { describe, expect } from "vitest"
import { submit } from "../client.ts"
import { itNeeds } from "../faults/needs.ts"
import { until } from "../until.ts"
import { missingBrowser, PHONE } from "./chromium.ts"
import { pageTest, rowOf } from "./page-test.ts"

const { service, open } = pageTest()
const it = (behaviour: string, body: () => Promise<void>) => itNeeds(missingBrowser, behaviour, body)

/** Of the page itself. */
const LIGHT = "rgb(246, 247, 249)"
const DARK = "rgb(15, 18, 23)"

const armed = (tenant: string, name: string) =>
  submit(service(), tenant, {
    name,
    dueAt: new Date(Date.now() + 86_400_000).toISOString(),
    requestSpec: { method: "GET", url: "https://example.com/" }
  })

describe("the page", () => {
  it("does everything from the keyboard", async () => {
    await armed("keys", "older")
    await armed("keys", "newer")
    await using tab = await open("?tenant=keys")
    const { page } = tab
    const { keyboard } = page
    const focused = () => page.evaluate(() => document.activeElement?.textContent ?? "")
    await rowOf(page, "newer").waitFor()
    await keyboard.press("j")
    expect(await focused()).toBe("newer")
    await keyboard.press("j")
    expect(await focused()).toBe("older")
    await keyboard.press("k")
    await keyboard.press("s")
    await rowOf(page, "newer").getByRole("button", { name: "Take the star" }).waitFor()
    await keyboard.press("Enter")
    const panel = page.getByRole("complementary", { name: "Call" })
    await panel.getByText("Correlation id").waitFor()
    await keyboard.press("Escape")
    await panel.waitFor({ state: "detached" })
    await page.waitForFunction(() => document.activeElement?.textContent === "newer")
    await keyboard.press("/")
    await page.waitForFunction(() => document.activeElement?.id === "search")
    await keyboard.type("old")
    await rowOf(page, "newer").waitFor({ state: "detached" })
    await keyboard.press("Escape")
    await keyboard.press("?")
    await page.getByRole("dialog", { name: "Keys" }).waitFor()
    await keyboard.press("Escape")
    await page.getByRole("dialog", { name: "Keys" }).waitFor({ state: "hidden" })
    await keyboard.press("n")
    await page.waitForFunction(() => document.activeElement?.id === "url")
    const { echoUrl } = await service()
      .fetch("/page.json")
      .then((response) => response.json())
    await keyboard.type(`${echoUrl}/echo`)
    await keyboard.press("Control+Enter")
    await page.getByRole("region", { name: "Response" }).getByText("Succeeded").waitFor()
    await page.locator("body").focus()
    await page.evaluate(() => document.activeElement instanceof HTMLElement && document.activeElement.blur())
    await until("the pair of keys was quick enough", async () => {
      await keyboard.press("g")
      await keyboard.press("s")
      return (await page.getByRole("region", { name: "Response" }).count()) === 0
    })
    await page.locator("[data-row]").first().waitFor()
    expect(tab.complaints).toEqual([])
  })

  it("takes the colours of the system until somebody chooses others, and keeps those", async () => {
    await using tab = await open("?tenant=colours")
    const { page } = tab
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    expect(await ground()).toBe(LIGHT)
    await page.getByRole("button", { name: "Dark colours" }).click()
    expect(await ground()).toBe(DARK)
    await page.reload()
    await page.getByRole("button", { name: "Light colours" }).waitFor()
    expect(await ground()).toBe(DARK)
    await page.getByRole("button", { name: "Light colours" }).click()
    await page.emulateMedia({ colorScheme: "dark" })
    await page.getByRole("button", { name: "Light colours" }).waitFor()
    expect(await ground()).toBe(DARK)
  })

  it("fits a phone, in the dark", async () => {
    const { echoUrl } = await service()
      .fetch("/page.json")
      .then((response) => response.json())
    const { serviceCallId } = await submit(service(), "phone", {
      name: "a name that is a good deal longer than a phone is wide, as names are",
      tags: ["a tag of more than usual length", "another one", "and one more"],
      requestSpec: { method: "POST", url: `${echoUrl}/status/503?a=${"long".repeat(40)}`, body: "x".repeat(400) }
    })
    await using tab = await open("?tenant=phone", { ...PHONE, colorScheme: "dark" })
    const { page } = tab
    await rowOf(page, "a name").locator('[data-status="Failed"]').waitFor()
    for (const query of ["", `&call=${serviceCallId}`, "&view=request"]) {
      await page.goto(`${service().url}/?tenant=phone${query}`)
      await page
        .locator(query.includes("call") ? ".panel pre" : "#url, [data-row]")
        .first()
        .waitFor()
      const wider = await page.evaluate(() =>
        [document.documentElement, ...document.querySelectorAll(".panel, .list, form, .result")]
          .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)
          .map(({ className, scrollWidth }) => `${className} ${scrollWidth}`)
      )
      expect({ query, wider }).toEqual({ query, wider: [] })
    }
    expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe(DARK)
  })
})
