import { computed, signal } from "@preact/signals"
import { recall, remember } from "./memory.ts"

const KEY = "key"
const SCOPES = "scopes"

/** Whose key it is, and what it is for: a key is never changed. */
export interface Whoami {
  readonly tenantId: string
  readonly scopes: ReadonlyArray<string>
}

/** The API key of whoever uses the page, for this tab alone; empty where the service asks for none. */
export const apiKey = signal(recall("session", KEY) ?? "")
/** The service has refused to answer without a key, or with this one. */
export const needsKey = signal(false)

/** What it is for; `null` where the service asks for none. */
const keyScopes = signal(recall("session", SCOPES))
/** Whether whoever uses the page may submit and change calls. The service has the last word. */
export const mayChange = computed(() => keyScopes.value?.split(" ").includes("submit") ?? true)

export const takeKey = (key: string, { scopes }: Whoami): void => keep(key, scopes.join(" "))

const keep = (key: string | null, scopes: string | null): void => {
  remember("session", KEY, key)
  remember("session", SCOPES, scopes)
  keyScopes.value = scopes
  apiKey.value = key ?? ""
}

export const authorization = (): Readonly<Record<string, string>> =>
  apiKey.peek() === "" ? {} : { authorization: `Bearer ${apiKey.peek()}` }

export const forgetKey = (): void => {
  keep(null, null)
  needsKey.value = true
}
