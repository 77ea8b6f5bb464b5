const PREFIX = "event-service-agent:"

const storeOf = (store: "local" | "session"): Storage => (store === "local" ? localStorage : sessionStorage)

/** What was remembered; `null` also where the browser keeps nothing. */
export const recall = (store: "local" | "session", key: string): string | null => {
  try {
    return storeOf(store).getItem(PREFIX + key)
  } catch {
    return null
  }
}

/** Remembers if it can: the page works without. `null` forgets. */
export const remember = (store: "local" | "session", key: string, value: string | null): void => {
  try {
    if (value === null) storeOf(store).removeItem(PREFIX + key)
    else storeOf(store).setItem(PREFIX + key, value)
  } catch {
    // Private windows and full stores refuse.
  }
}
