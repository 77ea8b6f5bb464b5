import { signal } from "@preact/signals"
import { ask } from "./api.ts"

interface Facts {
  readonly echoUrl: string | null
  readonly version: string
}

/** What the page knows of the program that serves it. */
export const facts = signal<Facts>({ echoUrl: null, version: "" })

let asking: Promise<void> | undefined

/** Asks for the facts once. Ends when they are known, or when there is no answer. */
export const askForFacts = (): Promise<void> => {
  asking ??= (async () => {
    const answer = await ask<Facts>("/page.json")
    if (answer.ok) facts.value = answer.value
  })()
  return asking
}
