import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { waysOutOf } from "./ways-out.ts"

const ROOT = join(import.meta.dirname, "../../../..")

/** Each is a way to another host that is not the guarded client. */
const PLANTED = [
  'export const x = fetch("http://a")',
  "export const x = [fetch]",
  "export const x = { get: fetch }",
  "export const x = (go: boolean) => (go ? fetch : undefined)",
  "export const { fetch: x } = globalThis",
  'export const x = globalThis["fetch"]',
  "export const x = Reflect.get(globalThis, 'fetch')",
  "export const x = self.fetch",
  "export const x = window['fetch']",
  'export const x = Bun.fetch("http://a")',
  "export const x = Bun.connect",
  "export const x = Bun.udpSocket({})",
  'export const x = Bun.spawn(["curl"])',
  'export const x = Bun.spawnSync(["curl"])',
  "export const x = Bun.$`curl`",
  'export const x = new Bun.RedisClient("redis://a")',
  'export const x = new Bun.SQL("postgres://a")',
  'export const x = Bun.s3.file("a")',
  'export const x = Bun.dns.lookup("a")',
  'export const x = Bun.file("s3://a/b")',
  'export const x = Bun["connect"]',
  "export const { connect } = Bun",
  'import { fetch as x } from "bun"\n\nexport const y = x',
  'import { connect as x } from "bun"\n\nexport const y = x',
  'import { dlopen as x } from "bun:ffi"\n\nexport const y = x',
  'import { connect } from "node:net"\n\nexport const x = connect',
  'import { createConnection, isIP } from "node:net"\n\nexport const x = [createConnection, isIP]',
  'import * as net from "node:net"\n\nexport const x = net',
  'import net from "net"\n\nexport const x = net',
  'import { connect } from "node:tls"\n\nexport const x = connect',
  'import { request } from "node:http"\n\nexport const x = request',
  'import https from "https"\n\nexport const x = https',
  'import { connect } from "node:http2"\n\nexport const x = connect',
  'import { createSocket } from "node:dgram"\n\nexport const x = createSocket',
  'import { lookup } from "node:dns"\n\nexport const x = lookup',
  'import { Resolver } from "node:dns/promises"\n\nexport const x = Resolver',
  'import { exec } from "node:child_process"\n\nexport const x = exec',
  'import { Worker } from "node:worker_threads"\n\nexport const x = Worker',
  'import cluster from "node:cluster"\n\nexport const x = cluster',
  'import { createRequire } from "node:module"\n\nexport const x = createRequire',
  'export { request } from "node:http"',
  'export * from "node:https"',
  'export const x = await import("node:http")',
  'export const x = require("node:http")',
  "export const x = (name: string) => import(name)",
  'export const x = new WebSocket("ws://a")',
  'export const x = new EventSource("http://a")',
  "export const x = new XMLHttpRequest()",
  'export const x = new Worker("./a.ts")',
  'export const x = new Function("return 1")',
  'import { request } from "undici"\n\nexport const x = request',
  'import axios from "axios"\n\nexport const x = axios',
  'import { FetchHttpClient } from "effect/http"\n\nexport const x = FetchHttpClient',
  'import { HttpClient as x } from "effect/http"\n\nexport const y = x',
  'import * as http from "effect/http"\n\nexport const x = http',
  'import { HttpApiClient } from "effect/http-api"\n\nexport const x = HttpApiClient',
  'import * as x from "effect/http/FetchHttpClient"\n\nexport const y = x',
  'import { Socket } from "effect/socket"\n\nexport const x = Socket',
  'import { ChildProcess } from "effect/process"\n\nexport const x = ChildProcess',
  'import { Worker as x } from "effect/workers"\n\nexport const y = x'
]

const INNOCENT = [
  "// fetch(url) is not called here\nexport const x = 1",
  '/** As `fetch("http://a")`, or `import("node:http")`. */\nexport const x = "http://a" // fetch(x)',
  'import type { Socket } from "node:net"\n\nexport type X = Socket',
  'import { BlockList, isIP } from "node:net"\n\nexport const x = [BlockList, isIP]',
  'import { readFileSync } from "node:fs"\nimport { createHash } from "node:crypto"\n\nexport const x = [readFileSync, createHash]',
  "export const x = Bun.serve({ fetch: () => new Response() })",
  "export const x = (router: { fetch: (url: string) => void }) => router.fetch('a')",
  'export const x = (headers: Record<string, string>) => headers["sec-fetch-site"]',
  "export const x = (self: string) => ({ self, global: true })",
  'import { HttpRouter, HttpServerResponse } from "effect/http"\n\nexport const x = [HttpRouter, HttpServerResponse]',
  'import * as FetchHttpClient from "@event-service-agent/adapters/http/fetch-http-client"\n\nexport const x = FetchHttpClient.layer',
  'import { Effect } from "effect"\nimport { NetAddress } from "effect/net"\n\nexport const x = [Effect, NetAddress]'
]

/** Where both may be: the server's package may know the runtime. */
const path = (name: string, n: number) => `packages/server/src/${name}-${n}.ts`

describe("the search for ways out", () => {
  it("finds each one that is planted", () => {
    for (const [n, text] of PLANTED.entries()) {
      expect({ text, found: waysOutOf(path("planted", n), text).length > 0 }).toEqual({ text, found: true })
    }
  })

  it("finds none in what only looks like one", () => {
    for (const [n, text] of INNOCENT.entries()) {
      expect({ text, found: waysOutOf(path("innocent", n), text) }).toEqual({ text, found: [] })
    }
  })

  it("lets the guarded client fetch, and the resolver resolve, and neither do the other's work", () => {
    const client = "packages/adapters/src/http/fetch-http-client.ts"
    const resolver = "packages/adapters/src/http/host-resolver.ts"
    const fetches = 'import { checkServerIdentity } from "node:tls"\n\nexport const x = [fetch, checkServerIdentity]'
    const resolves = 'import { Resolver } from "node:dns"\n\nexport const x = [Bun.dns.lookup, Resolver]'
    expect([waysOutOf(client, fetches), waysOutOf(resolver, resolves)]).toEqual([[], []])
    expect([waysOutOf(client, resolves).length, waysOutOf(resolver, fetches).length]).toEqual([2, 2])
  })

  it("lets the transport connect to the broker, and nobody else", () => {
    const connects = 'import { connect } from "@nats-io/transport-node"\n\nexport const x = connect'
    expect(waysOutOf("packages/adapters/src/nats/broker.ts", connects)).toEqual([])
    expect(waysOutOf("packages/adapters/src/http/fetch-http-client.ts", connects)).toHaveLength(1)
    expect(waysOutOf("packages/adapters/src/nats/broker.ts", "export const x = fetch")).toHaveLength(1)
  })
})

describe("the linter", () => {
  const folder = mkdtempSync(join(tmpdir(), "event-service-lint-"))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it("says so, too, in the editor", () => {
    for (const file of ["biome.json", "packages/server/test/egress/ways-out.grit"]) {
      cpSync(join(ROOT, file), join(folder, file), { recursive: true })
    }
    const plant = (name: string) => (text: string, n: number) => {
      mkdirSync(dirname(join(folder, path(name, n))), { recursive: true })
      writeFileSync(join(folder, path(name, n)), `${text}\n`)
    }
    PLANTED.forEach(plant("planted"))
    INNOCENT.forEach(plant("innocent"))
    const biome = join(ROOT, "node_modules/.bin/biome")
    const args = ["lint", "--vcs-enabled=false", "--colors=off", "--max-diagnostics=none", "."]
    const lint = Bun.spawnSync([biome, ...args], { cwd: folder })
    const report = lint.stdout.toString() + lint.stderr.toString()
    const found = (name: string, texts: ReadonlyArray<string>) =>
      texts.filter((_, n) =>
        new RegExp(`^${path(name, n)}:\\d+:\\d+ (plugin|lint/style/noRestricted)`, "m").test(report)
      )
    expect(PLANTED.filter((text) => !found("planted", PLANTED).includes(text))).toEqual([])
    expect(found("innocent", INNOCENT)).toEqual([])
  })
})
