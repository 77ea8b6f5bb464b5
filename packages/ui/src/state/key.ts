import { signal } from "@preact/signals"
import { recall, remember } from "./memory.ts"

const KEY = "key"

/** The API key of whoever uses the page, for this tab alone; empty where the service asks for none. */
export const apiKey = signal(recall("session", KEY) ?? "")
/** The service has refused to answer without a key, or with this one. */
export const needsKey = signal(false)

export const takeKey = (key: string): void => {
  remember("session", KEY, key === "" ? null : key)
  apiKey.value = key
}

export const authorization = (): Readonly<Record<string, string>> =>
  apiKey.peek() === "" ? {} : { authorization: `Bearer ${apiKey.peek()}` }

export const forgetKey = (): void => {
  takeKey("")
  needsKey.value = true
}
