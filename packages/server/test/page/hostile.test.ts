import { describe, expect } from "vitest"
import { submit } from "../client.ts"
import { countingTarget } from "../counting-target.ts"
import { itNeeds } from "../faults/needs.ts"
import { missingBrowser } from "./chromium.ts"
import { pageTest, rowOf } from "./page-test.ts"

const ATTACK = '<img src=x onerror="hacked=1"><script>hacked=1</script>'
/** Turns what follows round, hides, and ends lines. */
const HIDDEN = "a\u202eb\u200bc"

const target = countingTarget(
  () => new Response(`${ATTACK}\u0000\u001b[31m${HIDDEN}`, { headers: { server: ATTACK, "content-type": "text/html" } })
)
const { service, open } = pageTest({ ECHO_PORT: "0", EGRESS_ALLOW: target.host })

describe("what comes from elsewhere", () => {
  itNeeds(missingBrowser, "stays text, in every field that shows it", async () => {
    await using _target = target
    const { serviceCallId } = await submit(service(), "hostile", {
      name: ATTACK + HIDDEN,
      tags: [ATTACK, HIDDEN],
      requestSpec: {
        method: "POST",
        url: `${target.url}/?q=${ATTACK}`,
        headers: { "user-agent": ATTACK },
        body: ATTACK
      }
    })
    await using tab = await open(`?tenant=hostile&q=${encodeURIComponent(ATTACK)}&tag=${encodeURIComponent(ATTACK)}`)
    const { page } = tab
    await rowOf(page, "<img").click()
    const panel = page.getByRole("complementary", { name: "Call" })
    await panel.locator("pre").waitFor()
    for (const summary of await panel.locator("summary").all()) await summary.click()
    const shown = await panel.textContent()
    expect(shown).toContain(`${ATTACK}a\\u202eb\\u200bc`)
    expect(await panel.locator("pre").textContent()).toBe(`${ATTACK}\\u0000\\u001b[31ma\\u202eb\\u200bc`)
    for (const hidden of ["\u202e", "\u200b", "\u0000"]) expect(shown).not.toContain(hidden)
    await panel.getByRole("button", { name: "Clone" }).click()
    await page.getByLabel("Name", { exact: true }).waitFor()
    await page.goto(`${service().url}/?tenant=${encodeURIComponent(ATTACK)}&call=${encodeURIComponent(ATTACK)}`)
    await page.locator(".panel .problem").waitFor()
    await page.goto(`${service().url}/?tenant=hostile&call=${serviceCallId}`)
    await panel.locator("pre").waitFor()
    expect(await page.locator("img, script:not([src]), iframe").count()).toBe(0)
    expect(await page.evaluate(() => "hacked" in window)).toBe(false)
    expect(tab.complaints).toEqual([])
    expect(tab.strays).toEqual([])
  })
})
