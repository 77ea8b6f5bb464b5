import { type Browser, chromium, type Page } from "playwright-core"

const NAMES = ["chromium", "chromium-browser", "google-chrome"]

const executablePath = NAMES.map((name) => Bun.which(name)).find((path) => path !== null)

/** What tests in a browser lack here; `undefined` when nothing. */
export const missingBrowser = executablePath === undefined ? "needs Chromium: apt-get install chromium" : undefined

export interface View {
  readonly width: number
  readonly height: number
  readonly colorScheme?: "light" | "dark"
}

export const DESKTOP: View = { width: 1440, height: 900 }
export const PHONE: View = { width: 390, height: 844 }

/** A page in the browser and what it should not have done. */
export interface Tab extends AsyncDisposable {
  readonly page: Page
  /** Refusals by the content security policy, errors and exceptions. */
  readonly complaints: ReadonlyArray<string>
  /** Requests to other hosts than the one that sent the page. */
  readonly strays: ReadonlyArray<string>
}

/** Complaints of the browser about a service that is down, or that refuses what was entered: those are wanted. */
const EXPECTED = /Failed to load resource|net::ERR_/

export const launch = (): Promise<Browser> =>
  chromium.launch({ args: ["--no-sandbox"], ...(executablePath === undefined ? {} : { executablePath }) })

/** Opens a page with a memory of its own. */
export const openTab = async (browser: Browser, url: string, view: View = DESKTOP): Promise<Tab> => {
  const { width, height, colorScheme = "light" } = view
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, reducedMotion: "reduce" })
  await context.grantPermissions(["clipboard-read", "clipboard-write"])
  const page = await context.newPage()
  const complaints: Array<string> = []
  const strays: Array<string> = []
  page.on("console", (message) => {
    const isBad = message.type() === "error" || message.type() === "warning"
    if (isBad && !EXPECTED.test(message.text())) complaints.push(message.text())
  })
  page.on("pageerror", (error) => complaints.push(String(error)))
  page.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url())
    if (protocol.startsWith("http") && hostname !== new URL(url).hostname) strays.push(request.url())
  })
  await page.goto(url)
  return { page, complaints, strays, [Symbol.asyncDispose]: () => context.close() }
}
