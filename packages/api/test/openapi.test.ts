import { Schema } from "effect"
import { OpenApi } from "effect/http-api"
import { describe, expect, it } from "vitest"
import { Api } from "../src/contract.ts"
import { SubmissionBody } from "../src/submission-body.ts"

const document = JSON.parse(JSON.stringify(OpenApi.fromApi(Api)))
interface Operation {
  readonly responses: Readonly<Record<string, { readonly headers: object }>>
  readonly security?: unknown
}
const operations: ReadonlyArray<Operation & { readonly name: string }> = Object.entries<Record<string, Operation>>(
  document.paths
).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({ ...operation, name: `${method} ${path}` }))
)
const statusesOf = (name: string) => Object.keys(operations.find((one) => one.name === name)?.responses ?? {})

/** Parameters that take any text. */
const FREE_TEXT = new Set(["q", "prefer", "last-event-id"])
const calls = "/api/tenants/{tenantId}/service-calls"

describe("the OpenAPI document", () => {
  it("lists every route", () => {
    expect(document.openapi).toBe("3.1.0")
    expect(operations.map(({ name }) => name).sort()).toEqual([
      "delete /api/admin/dead-letters/{consumer}/{seq}",
      "delete /api/admin/keys/{keyId}",
      "get /api/admin/dead-letters",
      "get /api/admin/keys",
      `get ${calls}`,
      `get ${calls}/events`,
      `get ${calls}/export`,
      `get ${calls}/stats`,
      `get ${calls}/{serviceCallId}`,
      `get ${calls}/{serviceCallId}/why`,
      "get /api/whoami",
      "get /health/live",
      "get /health/ready",
      "post /api/admin/dead-letters/{consumer}/{seq}/replay",
      "post /api/admin/keys",
      "post /api/admin/republish",
      `post ${calls}`,
      `post ${calls}/{serviceCallId}/cancel`,
      `post ${calls}/{serviceCallId}/resend`,
      `put ${calls}/{serviceCallId}/tags`
    ])
  })

  it("names the problems of each route", () => {
    expect(statusesOf(`post ${calls}`)).toEqual([
      "200",
      "202",
      "400",
      "401",
      "403",
      "404",
      "405",
      "409",
      "413",
      "415",
      "421",
      "422",
      "429",
      "500",
      "503"
    ])
    expect(statusesOf(`post ${calls}/{serviceCallId}/resend`)).toEqual(statusesOf(`post ${calls}`))
    expect(statusesOf(`post ${calls}/{serviceCallId}/cancel`)).toEqual([
      "200",
      "202",
      "400",
      "401",
      "403",
      "404",
      "405",
      "409",
      "413",
      "415",
      "421",
      "422",
      "500",
      "503"
    ])
    const whenReading = ["200", "400", "401", "403", "404", "405", "421", "422", "500", "503"]
    expect(statusesOf(`get ${calls}/{serviceCallId}`)).toEqual(whenReading)
  })

  it("says which key each route asks for", () => {
    expect(document.components.securitySchemes.key).toMatchObject({ type: "http", scheme: "bearer" })
    const open = ["get /health/live", "get /health/ready"]
    for (const { name, security, responses } of operations) {
      const asks = security !== undefined && JSON.stringify(security) === '[{"key":[]}]'
      expect({ name, asks }).toEqual({ name, asks: !open.includes(name) })
      expect({ name, is: "401" in responses }).toEqual({ name, is: asks })
    }
    expect(document.paths["/api/admin/keys"].post["x-scope"]).toBe("admin")
  })

  it("says where the service is, and that a cancellation needs no body", () => {
    expect(document.servers).toEqual([{ url: "/" }])
    const cancel = document.paths[`${calls}/{serviceCallId}/cancel`].post
    expect(cancel.requestBody.required).toBe(false)
  })

  it("names the headers of the answers", () => {
    for (const { responses } of operations) {
      for (const [status, { headers }] of Object.entries(responses)) {
        expect(headers).toHaveProperty("x-correlation-id")
        if (status === "405") expect(headers).toHaveProperty("allow")
        if (status === "503" || status === "429") expect(headers).toHaveProperty("retry-after")
        if (status === "401") expect(headers).toHaveProperty("www-authenticate")
      }
    }
  })

  it("says what may stand in each parameter", () => {
    const parameters: ReadonlyArray<{ readonly name: string; readonly schema: object }> = Object.values<
      Record<string, { parameters?: ReadonlyArray<{ name: string; schema: object }> }>
    >(document.paths).flatMap((item) => Object.values(item).flatMap((operation) => operation.parameters ?? []))
    const rules = parameters.filter(({ name }) => !FREE_TEXT.has(name)).map(({ schema }) => JSON.stringify(schema))
    expect(rules.length).toBeGreaterThan(15)
    for (const rule of rules) expect(rule).toMatch(/"(pattern|enum|format|minimum)":/)
  })

  it("calls the problems by their names", () => {
    expect(Object.keys(document.components.schemas)).toEqual(expect.arrayContaining(["InvalidRequest", "Overloaded"]))
    expect(JSON.stringify(document)).not.toContain("Encoded")
  })

  it("resolves every reference", () => {
    const references = JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)
    for (const [, name] of references) expect(document.components.schemas).toHaveProperty([String(name)])
  })

  it("has an example that would be accepted", () => {
    const [example] = document.components.schemas.SubmissionBody.examples
    expect(() => Schema.decodeUnknownSync(SubmissionBody, { onExcessProperty: "error" })(example)).not.toThrow()
  })
})
