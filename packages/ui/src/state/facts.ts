import { signal } from "@preact/signals"
import { ask } from "./api.ts"

interface Facts {
  readonly echoUrl: string | null
  readonly version: string
}

/** What the page knows of the program that serves it. */
export const facts = signal<Facts>({ echoUrl: null, version: "" })

export const startFacts = async (): Promise<void> => {
  const answer = await ask<Facts>("/page.json")
  if (answer.ok) facts.value = answer.value
}
