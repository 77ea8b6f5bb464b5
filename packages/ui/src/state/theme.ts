import { signal } from "@preact/signals"
import { recall, remember } from "./memory.ts"

const THEME_KEY = "theme"
const isDark = matchMedia("(prefers-color-scheme: dark)")

type Theme = "light" | "dark"
const chosen = (text: string | null): Theme | undefined => (text === "light" || text === "dark" ? text : undefined)

/** What is shown, whether the system or the person says so. */
export const theme = signal<Theme>(isDark.matches ? "dark" : "light")

const show = (wanted: Theme | undefined) => {
  theme.value = wanted ?? (isDark.matches ? "dark" : "light")
  if (wanted === undefined) delete document.documentElement.dataset["theme"]
  else document.documentElement.dataset["theme"] = wanted
}

export const startTheme = (): void => {
  show(chosen(recall("local", THEME_KEY)))
  isDark.addEventListener("change", () => show(chosen(recall("local", THEME_KEY))))
}

/** The other one. What the system says anyway is not remembered, so that the page follows it again. */
export const toggleTheme = (): void => {
  const wanted = theme.peek() === "dark" ? "light" : "dark"
  const isSystems = (wanted === "dark") === isDark.matches
  remember("local", THEME_KEY, isSystems ? null : wanted)
  show(isSystems ? undefined : wanted)
}
