import type { OpenApi } from "effect/http-api"
import type { Access } from "./access/scope.ts"

const SUBMISSION = {
  name: "nightly report",
  dueAt: "2027-01-01T09:00:00Z",
  tags: ["billing"],
  timeoutMs: 10_000,
  requestSpec: {
    method: "POST",
    url: "https://example.com/hook",
    headers: { "content-type": "application/json" },
    body: '{"a":1}'
  }
}

const header = (description: string) => ({ schema: { type: "string" }, required: true, description })
const ALWAYS = { "x-correlation-id": header("Joins what follows from the request, in answers, messages and logs") }
const RATE_LIMIT = {
  "ratelimit-policy": {
    ...header("The limits that are set, as in draft-ietf-httpapi-ratelimit-headers"),
    required: false
  },
  ratelimit: { ...header("What is left of them"), required: false }
}
const BY_STATUS: Readonly<Record<string, OpenApi.OpenApiSpecResponse["headers"]>> = {
  401: { "www-authenticate": header("Bearer") },
  429: { ...RATE_LIMIT, "retry-after": header("Seconds until another try makes sense") },
  405: { allow: header("The methods that the address knows") },
  503: { "retry-after": header("Seconds until another try makes sense") }
}

/** What may stand in a parameter, where its schema only says that it is text. */
export type ParameterRules = Readonly<Record<string, object>>

const SECURITY_SCHEME = {
  type: "http",
  scheme: "bearer",
  description: "A key, esa_<id>_<secret>. Where AUTH is off, none is asked for"
}

/**
 * Adds what the schemas cannot say: which key a route asks for, the headers that the edge sets, the form of parameters, an example, and a body that
 * may be left out. The problems get their names without what they are in the program.
 */
export const completeDocument = (
  spec: OpenApi.OpenAPISpec,
  parameters: ParameterRules,
  accessByRoute: ReadonlyMap<string, Access>
): OpenApi.OpenAPISpec => {
  spec.servers = [{ url: "/" }]
  Object.assign(spec.components.securitySchemes, { key: SECURITY_SCHEME })
  for (const item of Object.values(spec.paths)) {
    for (const operation of [item.get, item.post, item.put, item.delete]) {
      if (operation === undefined) continue
      const access = accessByRoute.get(operation.operationId) ?? "open"
      if (access !== "open") {
        operation.security = [{ key: [] }]
        if (access !== "key") Object.assign(operation, { "x-scope": access })
      }
      for (const parameter of operation.parameters ?? []) Object.assign(parameter.schema, parameters[parameter.name])
      for (const [status, response] of Object.entries(operation.responses)) {
        response.headers = { ...response.headers, ...ALWAYS, ...BY_STATUS[status] }
      }
    }
  }
  const cancel = Object.entries(spec.paths).find(([path]) => path.endsWith("/cancel"))?.[1].post
  // The type knows only bodies that are required.
  if (cancel?.requestBody !== undefined) Object.assign(cancel.requestBody, { required: false })
  const { SubmissionBody } = spec.components.schemas
  if (SubmissionBody !== undefined) SubmissionBody.examples = [SUBMISSION]
  spec.components.schemas = Object.fromEntries(
    Object.entries(spec.components.schemas).map(([name, schema]) => [shorten(name), schema])
  )
  shortenReferences(spec)
  return spec
}

const shorten = (name: string): string => name.replace(/Encoded$/, "")

const shortenReferences = (node: unknown): void => {
  if (typeof node !== "object" || node === null) return
  if ("$ref" in node && typeof node.$ref === "string") node.$ref = shorten(node.$ref)
  for (const child of Object.values(node)) shortenReferences(child)
}
