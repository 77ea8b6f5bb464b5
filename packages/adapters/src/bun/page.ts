import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { gzip } from "node:zlib"
import { RouteNotFound } from "@event-service-agent/api/problem"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerRespondable, HttpServerResponse } from "effect/http"

/** What the page has to know of the program that serves it: `GET /page.json`. */
export interface PageFacts {
  /** Where the bundled echo target listens, without a slash at the end; `null` when there is none. */
  readonly echoUrl: string | null
  readonly version: string
}

/** One file of the bundle, as it is sent. */
interface PageFile {
  readonly type: string
  readonly plain: Uint8Array
  readonly zipped: Uint8Array
}

interface Bundle {
  readonly document: PageFile
  /** By name, as in `/assets/<name>`; a name holds the hash of the content. */
  readonly assets: ReadonlyMap<string, PageFile>
}

const DOCUMENT = "index.html"
const ASSETS_PATH = "/assets/"

/** Nothing but what this server sends. The response bodies that people look at are text, and could not load anything. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join("; ")

const DOCUMENT_HEADERS = {
  "cache-control": "no-cache",
  "content-security-policy": CONTENT_SECURITY_POLICY,
  "referrer-policy": "same-origin"
}
const ASSET_HEADERS = { "cache-control": "public, max-age=31536000, immutable" }

/** The routes of the page, for the server to put on its router: `/`, `/assets/*` and `/page.json`. */
export const layer = (facts: PageFacts) =>
  Layer.mergeAll(
    HttpRouter.add("GET", "/", (request) =>
      Effect.map(bundle, ({ document }) => respond(request, document, DOCUMENT_HEADERS))
    ),
    HttpRouter.add(
      "GET",
      `${ASSETS_PATH}:name`,
      Effect.gen(function* () {
        const request = yield* HttpServerRequest.HttpServerRequest
        const { name = "" } = yield* HttpRouter.params
        const file = (yield* bundle).assets.get(name)
        if (file !== undefined) return respond(request, file, ASSET_HEADERS)
        return yield* HttpServerRespondable.toResponse(new RouteNotFound({ detail: "The page has no such file" }))
      })
    ),
    HttpRouter.add(
      "GET",
      "/page.json",
      HttpServerResponse.setHeader(HttpServerResponse.jsonUnsafe(facts), "cache-control", "no-cache")
    )
  )

const respond = (
  request: HttpServerRequest.HttpServerRequest,
  { type, plain, zipped }: PageFile,
  headers: Readonly<Record<string, string>>
) => {
  const takesGzip = /\bgzip\b(?!\s*;\s*q=0(?![.\d]*[1-9]))/i.test(request.headers["accept-encoding"] ?? "")
  return HttpServerResponse.uint8Array(takesGzip ? zipped : plain, {
    contentType: type,
    headers: { ...headers, vary: "accept-encoding", ...(takesGzip ? { "content-encoding": "gzip" } : {}) }
  })
}

let building: Promise<Bundle> | undefined

/** Built at the first request, once for the process. A build that fails is a mistake of ours, and tried again. */
const bundle = Effect.promise(() => {
  building ??= build().catch((error: unknown) => {
    building = undefined
    throw error
  })
  return building
})

const build = async (): Promise<Bundle> => {
  const { success, outputs, logs } = await Bun.build({
    entrypoints: [fileURLToPath(import.meta.resolve(`@event-service-agent/ui/${DOCUMENT}`))],
    target: "browser",
    minify: true,
    splitting: true,
    // Said here as well as in the tsconfig, which is not where the program is installed.
    jsx: { runtime: "automatic", importSource: "preact", development: false },
    publicPath: ASSETS_PATH,
    naming: { entry: "[name].[ext]", chunk: "[name]-[hash].[ext]", asset: "[name]-[hash].[ext]" },
    define: { "process.env.NODE_ENV": '"production"' },
    throw: false
  })
  if (!success) throw new Error(`the page cannot be bundled: ${logs.map(String).join("; ")}`)
  const files = new Map(await Promise.all(outputs.map(packed)))
  const document = files.get(DOCUMENT)
  if (document === undefined) throw new Error(`the bundle of the page has no ${DOCUMENT}`)
  files.delete(DOCUMENT)
  return { document, assets: files }
}

const zip = promisify(gzip)

const packed = async (file: Bun.BuildArtifact): Promise<readonly [string, PageFile]> => {
  const plain = new Uint8Array(await file.arrayBuffer())
  return [file.path.replace(/^\.?\//, ""), { type: file.type, plain, zipped: await zip(plain, { level: 9 }) }]
}
