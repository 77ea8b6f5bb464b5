import type { OpenApi } from "effect/http-api"

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
const BY_STATUS: Readonly<Record<string, OpenApi.OpenApiSpecResponse["headers"]>> = {
  405: { allow: header("The methods that the address knows") },
  503: { "retry-after": header("Seconds until another try makes sense") }
}

/** Adds what the schemas cannot say: the headers that the edge sets, and an example. */
export const completeDocument = (spec: OpenApi.OpenAPISpec): OpenApi.OpenAPISpec => {
  for (const item of Object.values(spec.paths)) {
    for (const operation of [item.get, item.post, item.put, item.delete]) {
      for (const [status, response] of Object.entries(operation?.responses ?? {})) {
        response.headers = { ...response.headers, ...ALWAYS, ...BY_STATUS[status] }
      }
    }
  }
  const { SubmissionBody } = spec.components.schemas
  if (SubmissionBody !== undefined) SubmissionBody.examples = [SUBMISSION]
  return spec
}
