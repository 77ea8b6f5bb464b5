import type { CallDetail, CallReference, CallSummary } from "@event-service-agent/api/representations"
import type { SubmissionBody } from "@event-service-agent/api/submission-body"
import { expect } from "vitest"
import type { Service } from "./process.ts"

/** What travels: times are text. */
export type Submission = (typeof SubmissionBody)["Encoded"]
export type Reference = (typeof CallReference)["Encoded"]
export type Summary = (typeof CallSummary)["Encoded"]
export type Detail = (typeof CallDetail)["Encoded"]

interface Page {
  readonly items: ReadonlyArray<Summary>
  readonly next: string | null
}

export const PAGE_LIMIT = 100
export const TERMINAL: ReadonlySet<string> = new Set(["Succeeded", "Failed", "Cancelled"])

export const callsOf = (tenant: string): string => `/api/tenants/${tenant}/service-calls`

/** A POST of JSON. */
export const json = (body: unknown, headers: Readonly<Record<string, string>> = {}): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify(body)
})

/** Submits, expecting 202. */
export const submit = async (
  service: Service,
  tenant: string,
  submission: Submission
): Promise<Reference & { readonly correlationId: string }> => {
  const response = await service.fetch(callsOf(tenant), json(submission))
  const text = await response.text()
  expect({ status: response.status, text }).toMatchObject({ status: 202 })
  const reference: Reference = JSON.parse(text)
  expect(response.headers.get("location")).toBe(`${callsOf(tenant)}/${reference.serviceCallId}`)
  return { ...reference, correlationId: response.headers.get("x-correlation-id") ?? "" }
}

export const detailOf = async (service: Service, tenant: string, serviceCallId: string): Promise<Detail> => {
  const response = await service.fetch(`${callsOf(tenant)}/${serviceCallId}`)
  expect(response.status).toBe(200)
  return response.json()
}

/** A tenant's whole list, page after page along the Link header. */
export const listAll = async (service: Service, tenant: string, query = ""): Promise<ReadonlyArray<Summary>> => {
  const calls: Array<Summary> = []
  let path: string | undefined = `${callsOf(tenant)}?limit=${PAGE_LIMIT}${query}`
  while (path !== undefined) {
    const response: Response = await service.fetch(path)
    expect(response.status).toBe(200)
    const page: Page = await response.json()
    calls.push(...page.items)
    path = /^<([^>]+)>; rel="next"$/.exec(response.headers.get("link") ?? "")?.[1]
    const cursor = path === undefined ? null : new URL(path, service.url).searchParams.get("cursor")
    expect(cursor).toBe(page.next)
    if (path !== undefined) expect(page.items).toHaveLength(PAGE_LIMIT)
  }
  return calls
}

/** How many of a tenant's calls there are with any of these states. */
export const countOf = async (service: Service, tenant: string, ...states: ReadonlyArray<string>): Promise<number> =>
  (await listAll(service, tenant, states.map((state) => `&status=${state}`).join(""))).length

/** Works on the items side by side, at most `width` at a time. */
export const sideBySide = async <A>(
  items: Iterable<A>,
  width: number,
  work: (item: A) => Promise<void>
): Promise<void> => {
  const rest = items[Symbol.iterator]()
  const worker = async () => {
    for (let next = rest.next(); next.done !== true; next = rest.next()) await work(next.value)
  }
  await Promise.all(Array.from({ length: width }, worker))
}
