import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { removeLeftovers, Service } from "../process.ts"

/** Script that a first visit loads, as it travels: without the editor, which comes when it is needed. */
const SCRIPT_BYTES_MAX = 60 * 1_024

let service: Service
beforeAll(async () => {
  service = await Service.start({ ECHO_PORT: "0" })
})
afterAll(async () => {
  await service?.[Symbol.asyncDispose]()
  removeLeftovers()
})

const assetsOf = async (): Promise<ReadonlyArray<string>> => {
  const html = await service.fetch("/").then((response) => response.text())
  return [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path = ""]) => path)
}

const sizeOf = async (path: string): Promise<number> => {
  const response = await fetch(service.url + path, { headers: { "accept-encoding": "gzip" }, decompress: false })
  expect(response.headers.get("content-encoding")).toBe("gzip")
  return (await response.arrayBuffer()).byteLength
}

describe("the page as it is served", () => {
  it("allows nothing but what comes from here", async () => {
    const response = await service.fetch("/")
    expect(response.status).toBe(200)
    expect(response.headers.get("content-type")).toContain("text/html")
    expect(response.headers.get("cache-control")).toBe("no-cache")
    const policy = response.headers.get("content-security-policy") ?? ""
    expect(policy.split("; ")).toContain("default-src 'none'")
    expect(policy).not.toContain("unsafe")
    const html = await response.text()
    expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=/)
  })

  it("loads less than 60 KiB of script at first, in files that may be kept for ever", async () => {
    const assets = await assetsOf()
    const scripts = assets.filter((path) => path.endsWith(".js"))
    expect(scripts.length).toBeGreaterThan(0)
    const bytes = await Promise.all(scripts.map(sizeOf))
    expect(bytes.reduce((sum, size) => sum + size, 0)).toBeLessThan(SCRIPT_BYTES_MAX)
    for (const path of assets) {
      const response = await service.fetch(path)
      expect(response.headers.get("cache-control")).toContain("immutable")
    }
  })

  it("is the same for everybody who asks at once", async () => {
    const pages = await Promise.all(Array.from({ length: 8 }, assetsOf))
    expect(new Set(pages.map((assets) => assets.join(" "))).size).toBe(1)
  })

  it("comes uncompressed to those who cannot unpack it", async () => {
    const [path = ""] = await assetsOf()
    for (const accepted of ["identity", "gzip;q=0", "br"]) {
      const response = await service.fetch(path, { headers: { "accept-encoding": accepted } })
      expect([accepted, response.headers.get("content-encoding")]).toEqual([accepted, null])
    }
  })

  it("tells what the page has to know", async () => {
    const facts = await service.fetch("/page.json").then((response) => response.json())
    expect(facts).toEqual({ echoUrl: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/), version: "0.1.0" })
  })

  it("has no other files, and takes no other methods", async () => {
    for (const path of ["/assets/none.js", "/assets/..%2f..%2fpackage.json", "/assets/", "/index.html"]) {
      expect([path, (await service.fetch(path)).status]).toEqual([path, 404])
    }
    const [asset = ""] = await assetsOf()
    for (const path of ["/", "/page.json", asset]) {
      const response = await service.fetch(path, { method: "POST" })
      expect([path, response.status, response.headers.get("allow")]).toEqual([path, 405, "GET, HEAD"])
      expect([path, (await service.fetch(path, { method: "HEAD" })).status]).toEqual([path, 200])
    }
  })
})
