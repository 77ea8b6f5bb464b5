import { Schema } from "effect"
import { OpenApi } from "effect/http-api"
import { describe, expect, it } from "vitest"
import { Api } from "../src/contract.ts"
import { SubmissionBody } from "../src/submission-body.ts"

const document = JSON.parse(JSON.stringify(OpenApi.fromApi(Api)))
const operations: ReadonlyArray<{ readonly name: string; readonly responses: Record<string, { headers: object }> }> =
  Object.entries<Record<string, { responses: Record<string, { headers: object }> }>>(document.paths).flatMap(
    ([path, item]) => Object.entries(item).map(([method, { responses }]) => ({ name: `${method} ${path}`, responses }))
  )
const statusesOf = (name: string) => Object.keys(operations.find((one) => one.name === name)?.responses ?? {})

const calls = "/api/tenants/{tenantId}/service-calls"

describe("the OpenAPI document", () => {
  it("lists every route", () => {
    expect(document.openapi).toBe("3.1.0")
    expect(operations.map(({ name }) => name).sort()).toEqual([
      "delete /api/admin/dead-letters/{consumer}/{seq}",
      "get /api/admin/dead-letters",
      `get ${calls}`,
      `get ${calls}/{serviceCallId}`,
      "get /health/live",
      "get /health/ready",
      "post /api/admin/dead-letters/{consumer}/{seq}/replay",
      "post /api/admin/republish",
      `post ${calls}`,
      `post ${calls}/{serviceCallId}/cancel`,
      `put ${calls}/{serviceCallId}/tags`
    ])
  })

  it("names the problems of each route", () => {
    expect(statusesOf(`post ${calls}`)).toEqual([
      "200",
      "202",
      "400",
      "403",
      "405",
      "409",
      "413",
      "415",
      "421",
      "422",
      "500",
      "503"
    ])
    expect(statusesOf(`post ${calls}/{serviceCallId}/cancel`)).toEqual([
      "200",
      "202",
      "400",
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
    expect(statusesOf(`get ${calls}/{serviceCallId}`)).toEqual(["200", "400", "404", "405", "421", "422", "500", "503"])
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
        if (status === "503") expect(headers).toHaveProperty("retry-after")
      }
    }
  })

  it("says what may stand in each parameter", () => {
    const parameters: ReadonlyArray<{ readonly name: string; readonly schema: object }> = Object.values<
      Record<string, { parameters?: ReadonlyArray<{ name: string; schema: object }> }>
    >(document.paths).flatMap((item) => Object.values(item).flatMap((operation) => operation.parameters ?? []))
    const rules = parameters.filter(({ name }) => name !== "q").map(({ schema }) => JSON.stringify(schema))
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
