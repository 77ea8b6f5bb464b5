import { effect, signal } from "@preact/signals"
import { ask } from "./api.ts"
import { apiKey } from "./key.ts"

export interface Whoami {
  readonly tenantId: string
  readonly scopes: ReadonlyArray<string>
}

/** Whether whoever uses the page may submit and change calls. Taken to be so until the service says otherwise. */
export const mayChange = signal(true)

export const startScopes = (): void => {
  effect(() => {
    const key = apiKey.value
    mayChange.value = true
    void ask<Whoami>("/api/whoami").then((answer) => {
      if (answer.ok && apiKey.peek() === key) mayChange.value = answer.value.scopes.includes("submit")
    })
  })
}
