import type { Browser, Page } from "playwright-core"
import { afterAll, beforeAll } from "vitest"
import { type Environment, removeLeftovers, Service } from "../process.ts"
import { launch, missingBrowser, openTab, type Tab, type View } from "./chromium.ts"

export interface PageTest {
  readonly service: () => Service
  readonly open: (query: string, view?: View) => Promise<Tab>
}

/** One program and one browser for the tests of a file. Without a browser it starts nothing. */
export const pageTest = (env: Environment = { ECHO_PORT: "0" }): PageTest => {
  let service: Service | undefined
  let browser: Browser | undefined
  beforeAll(async () => {
    if (missingBrowser !== undefined) return
    const starting = [Service.start(env), launch()] as const
    service = await starting[0]
    browser = await starting[1]
  })
  afterAll(async () => {
    await browser?.close()
    await service?.[Symbol.asyncDispose]()
    removeLeftovers()
  })
  const started = () => {
    if (service === undefined) throw new Error("the program has not started")
    return service
  }
  return {
    service: started,
    open: (query, view) => {
      if (browser === undefined) throw new Error("the browser has not started")
      return openTab(browser, `${started().url}/${query}`, view)
    }
  }
}

/** Waits until the page hears of changes. */
export const whenLive = (page: Page): Promise<void> => page.locator('.live-mark[data-live="true"]').waitFor()

/** The rows in view, by the names in them. */
export const namesIn = (page: Page): Promise<ReadonlyArray<string>> =>
  page.locator("[data-row] .name").allTextContents()

export const rowOf = (page: Page, name: string) => page.locator("[data-row]").filter({ hasText: name })
