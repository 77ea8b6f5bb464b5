import { NO_ANSWER, type Problem, toProblem } from "../lib/problem.ts"
import { authorization, needsKey } from "./key.ts"

export type Answer<A> =
  | { readonly ok: true; readonly status: number; readonly value: A; readonly headers: Headers }
  | { readonly ok: false; readonly problem: Problem }

export interface Ask {
  readonly method?: "GET" | "POST" | "PUT"
  readonly body?: object
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

/** Asks the service. The answer of a route is what the contract says of it. */
export const ask = async <A>(path: string, { method = "GET", body, headers, signal }: Ask = {}): Promise<Answer<A>> => {
  try {
    const response = await fetch(path, {
      method,
      headers: {
        ...authorization(),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal })
    })
    const text = await response.text()
    const value = parse<A>(text)
    if (response.status === 401) needsKey.value = true
    if (!response.ok || value === undefined) return { ok: false, problem: toProblem(response.status, value) }
    return { ok: true, status: response.status, value, headers: response.headers }
  } catch {
    return { ok: false, problem: NO_ANSWER }
  }
}

/** JSON as what the contract says it is; `undefined` for what is no JSON. */
const parse = <A>(text: string): A | undefined => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const callsOf = (tenant: string): string => `/api/tenants/${tenant}/service-calls`
export const callOf = (tenant: string, id: string): string => `${callsOf(tenant)}/${encodeURIComponent(id)}`
