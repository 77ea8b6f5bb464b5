import { signal } from "@preact/signals"

const SHOWN_MS = 4_000

export interface Notice {
  readonly text: string
  readonly tone: "plain" | "bad"
}

/** What the page says for a moment, also to those who listen to it. */
export const notice = signal<Notice | undefined>(undefined)

let timer: ReturnType<typeof setTimeout> | undefined

export const say = (text: string, tone: Notice["tone"] = "plain"): void => {
  clearTimeout(timer)
  notice.value = { text, tone }
  timer = setTimeout(() => {
    notice.value = undefined
  }, SHOWN_MS)
}

/** Puts a text on the clipboard and says so. */
export const copy = async (text: string, what: string): Promise<void> => {
  try {
    await navigator.clipboard.writeText(text)
    say(`${what} copied`)
  } catch {
    say(`The browser does not let this page copy. ${what}: ${text}`, "bad")
  }
}
