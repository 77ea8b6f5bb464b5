import { signal } from "@preact/signals"
import { address, closeCall, go, view } from "./route.ts"

export const isHelpOpen = signal(false)

/** Between the two keys of a pair such as `g s`. */
const PAIR_MS = 1_200

const TYPING = "input, textarea, select, [contenteditable=true]"

let pairAt = Number.NEGATIVE_INFINITY

const rows = () => [...document.querySelectorAll<HTMLElement>("[data-row]")]

const moveBy = (step: number) => {
  const all = rows()
  const at = all.findIndex((row) => row.contains(document.activeElement))
  const next = all[at === -1 ? (step > 0 ? 0 : all.length - 1) : at + step]
  next?.querySelector<HTMLElement>("a[data-open]")?.focus()
}

const starRow = () => {
  document.activeElement?.closest("[data-row]")?.querySelector<HTMLElement>("button.star")?.click()
}

const focusSearch = () => {
  if (view.peek() !== "status") go({ view: "status" })
  requestAnimationFrame(() => document.querySelector<HTMLElement>("#search")?.focus())
}

const newRequest = () => {
  go({ view: "request", call: "" })
  requestAnimationFrame(() => document.querySelector<HTMLElement>("#url")?.focus())
}

const afterG: Readonly<Record<string, () => void>> = {
  s: () => go({ view: "status", call: "" }),
  r: () => go({ view: "request", call: "" })
}

const keys: Readonly<Record<string, () => void>> = {
  "/": focusSearch,
  n: newRequest,
  j: () => moveBy(1),
  k: () => moveBy(-1),
  s: starRow,
  "?": () => {
    isHelpOpen.value = true
  }
}

/** What the browser shows, which knows first when a dialog has closed. */
const isDialogOpen = () => document.querySelector("dialog:modal") !== null

const leave = (target: Element) => {
  if (isDialogOpen()) return
  if (target instanceof HTMLElement && target.matches(TYPING)) target.blur()
  else if (address.peek().call !== "") closeCall()
}

/** The target within the editor, which has its own tree. */
const targetOf = (event: KeyboardEvent): Element | undefined => {
  const [first] = event.composedPath()
  return first instanceof Element ? first : undefined
}

export const startKeyboard = (): void => {
  document.addEventListener("keydown", (event) => {
    const target = targetOf(event)
    if (target === undefined || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key === "Escape") return leave(target)
    if (target.matches(TYPING) || isDialogOpen()) return
    const isPair = performance.now() - pairAt < PAIR_MS
    pairAt = event.key === "g" ? performance.now() : Number.NEGATIVE_INFINITY
    const act = isPair ? afterG[event.key] : keys[event.key]
    if (act === undefined) return
    event.preventDefault()
    act()
  })
}
