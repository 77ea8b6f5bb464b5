import { describe, expect } from "vitest"
import { itNeeds } from "../faults/needs.ts"
import { missingBrowser } from "./chromium.ts"
import { pageTest, whenLive } from "./page-test.ts"

const { open } = pageTest()
const it = (behaviour: string, body: () => Promise<void>) => itNeeds(missingBrowser, behaviour, body)

/** As a field for local times takes it. */
const localInput = (time: number): string => {
  const date = new Date(time - new Date(time).getTimezoneOffset() * 60_000)
  return date.toISOString().slice(0, 19)
}

describe("the request view", () => {
  it("makes a call from an example and shows what the target answered", async () => {
    await using tab = await open("?tenant=first")
    const { page } = tab
    await page.getByRole("button", { name: "Make the first call" }).click()
    await page.locator(".cm-content").waitFor()
    await page.getByRole("button", { name: "Send" }).click()
    const result = page.getByRole("region", { name: "Response" })
    await result.getByText("Succeeded").waitFor()
    expect(await result.locator(".figures dd").first().textContent()).toBe("200")
    expect(await result.locator("pre").textContent()).toContain('"path": "/echo"')
    await result.getByRole("link", { name: "Open in Status" }).click()
    await page.locator("[data-row]").filter({ hasText: "hello" }).waitFor()
    expect(tab.complaints).toEqual([])
    expect(tab.strays).toEqual([])
  })

  it("makes it from the example also when the page learns late where its target is", async () => {
    await using tab = await open("?tenant=early")
    const { page } = tab
    const known = Promise.withResolvers<void>()
    await page.route("**/page.json", async (route) => {
      await known.promise
      await route.continue()
    })
    await page.reload()
    await page.getByRole("button", { name: "Make the first call" }).click()
    known.resolve()
    await page.locator(".cm-content").waitFor()
    expect(await page.getByLabel("URL", { exact: true }).inputValue()).toMatch(/\/echo$/)
  })

  it("shows a call turn that is scheduled", async () => {
    await using tab = await open("?tenant=later&view=request")
    const { page } = tab
    await whenLive(page)
    await page.getByRole("button", { name: "In 10 s" }).click()
    await page.getByLabel("Due").fill(localInput(Date.now() + 8_000))
    await page.locator(".due-time").getByText("UTC", { exact: false }).first().waitFor()
    await page.getByRole("button", { name: "Schedule", exact: true }).click()
    const result = page.getByRole("region", { name: "Response" })
    await result.locator('[data-status="Scheduled"]').waitFor()
    await result.locator('[data-status="Succeeded"]').waitFor({ timeout: 60_000 })
  })

  it("shows what is wrong at its field, and keeps what was typed", async () => {
    await using tab = await open("?tenant=wrong&view=request")
    const { page } = tab
    await page.getByRole("button", { name: "Send" }).click()
    expect(await page.locator("#url-problem").textContent()).toContain("Enter the URL")
    await page.getByLabel("URL", { exact: true }).fill("http://10.0.0.1/secret")
    await page.getByLabel("Name", { exact: true }).fill("kept\u0007name")
    await page.getByLabel("Header name").fill("bad name")
    await page.getByText("Timeout and delivery").click()
    await page.getByLabel("Timeout in ms").fill("soon")
    await page.getByRole("button", { name: "Send" }).click()
    await page.locator("#timeout-problem").waitFor()
    expect(await page.locator("#name-problem").textContent()).toContain("control characters")
    expect(await page.getByLabel("Timeout in ms").getAttribute("aria-invalid")).toBe("true")
    expect(await page.getByLabel("Timeout in ms").inputValue()).toBe("soon")
    await page.getByLabel("Timeout in ms").fill("1000")
    await page.getByLabel("Name", { exact: true }).fill("kept name")
    await page.getByRole("button", { name: "Send" }).click()
    await page.locator("#url-problem").waitFor()
    await page.locator(".header-row .field-problem").waitFor()
    expect(await page.getByLabel("URL", { exact: true }).inputValue()).toBe("http://10.0.0.1/secret")
    expect(tab.complaints).toEqual([])
  })

  it("fills the form from a curl command that is pasted as the URL", async () => {
    await using tab = await open("?tenant=curl&view=request")
    const { page } = tab
    const command = `curl -X PUT 'https://example.com/a?b=1' -H 'X-Api-Key: s3cret' -H 'Content-Type: application/json' --data-raw '{"a":1}'`
    await page.evaluate((text) => navigator.clipboard.writeText(text), command)
    await page.getByLabel("URL", { exact: true }).focus()
    await page.keyboard.press("ControlOrMeta+V")
    await page.locator(".cm-content").getByText('{"a":1}').waitFor()
    expect(await page.getByLabel("URL", { exact: true }).inputValue()).toBe("https://example.com/a?b=1")
    expect(await page.getByLabel("Method").inputValue()).toBe("PUT")
    expect(await page.getByLabel("Value of X-Api-Key").getAttribute("type")).toBe("password")

    await page.getByText("Copy as curl").click()
    await page.getByRole("button", { name: "straight to the target" }).click()
    const copied = await page.evaluate(() => navigator.clipboard.readText())
    expect(copied).toContain("curl 'https://example.com/a?b=1'")
    expect(copied).toContain("-H 'X-Api-Key: s3cret'")

    await page.getByRole("button", { name: "Format" }).click()
    await page.locator(".cm-line").nth(2).waitFor()
    await page.reload()
    await page.locator(".cm-content").getByText('"a": 1').waitFor()
    expect(await page.getByLabel("Value of X-Api-Key").inputValue()).toBe("")
    expect(await page.evaluate(() => JSON.stringify(sessionStorage) + JSON.stringify(localStorage))).not.toContain(
      "s3cret"
    )
    expect(tab.complaints).toEqual([])
  })

  it("says in the editor where a body is no JSON", async () => {
    await using tab = await open("?tenant=json&view=request")
    const { page } = tab
    await page.locator(".cm-content").click()
    await page.keyboard.type('{"a":')
    await page.locator(".cm-lintRange-error, .cm-lintPoint-error").first().waitFor({ state: "attached" })
    expect(tab.complaints).toEqual([])
  })

  it("clones a call with its secrets left to be entered again, and links the new one to it", async () => {
    await using tab = await open("?tenant=clone&view=request")
    const { page } = tab
    await page.getByRole("button", { name: "Echo" }).click()
    await page.getByRole("button", { name: "Add header" }).click()
    await page.getByLabel("Header name").nth(1).fill("Authorization")
    await page.getByLabel("Value of Authorization").fill("Bearer abc")
    await page.getByRole("button", { name: "Send" }).click()
    await page.getByRole("link", { name: "Open in Status" }).click()
    await page.getByRole("button", { name: "Clone" }).click()
    await page.getByRole("button", { name: "Send" }).click()
    expect(await page.locator("#body-problem").textContent()).toContain("not kept")
    expect(await page.locator(".header-row .field-problem").textContent()).toContain("not kept")
    await page.getByLabel("Value of authorization").fill("Bearer abc")
    await page.locator(".cm-content").click()
    await page.keyboard.type("{}")
    await page.getByRole("button", { name: "Send" }).click()
    await page.getByRole("link", { name: "Open in Status" }).click()
    await page.getByText("Repeats").waitFor()
    expect(tab.complaints).toEqual([])
  })

  it("sends a kept request again, as another call that says which one it repeats", async () => {
    await using tab = await open("?tenant=resend&view=request")
    const { page } = tab
    await page.getByRole("button", { name: "Echo" }).click()
    await page.getByText("Timeout and delivery").click()
    await page.getByLabel("Keep the sealed request").check()
    await page.getByRole("button", { name: "Send" }).click()
    await page.getByRole("link", { name: "Open in Status" }).click()
    await page.getByRole("button", { name: "Resend" }).click()
    await page.getByText("Repeats").waitFor()
    await page.locator('.panel [data-status="Succeeded"]').waitFor()
    await page.getByRole("link", { name: "All 2" }).waitFor()
    expect(tab.complaints).toEqual([])
  })
})
