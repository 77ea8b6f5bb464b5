import { computed, signal } from "@preact/signals"
import { type Address, formatAddress, NO_FILTER, parseAddress, TENANT, TENANT_DEFAULT } from "../lib/address.ts"
import { recall, remember } from "./memory.ts"
import { say } from "./notices.ts"

const TENANT_KEY = "tenant"

const known = recall("local", TENANT_KEY) ?? ""
const read = () => parseAddress(location.search, TENANT.test(known) ? known : TENANT_DEFAULT)

/** What the page shows. */
export const address = signal<Address>(read())
export const tenant = computed(() => address.value.tenant)
export const view = computed(() => address.value.view)

/** The cursors of the pages before this one, so that there is a way back: the API knows only forwards. */
export const pagesBefore = signal<ReadonlyArray<string>>(cursorsIn(history.state))

function cursorsIn(state: unknown): ReadonlyArray<string> {
  if (typeof state !== "object" || state === null || !("before" in state) || !Array.isArray(state.before)) return []
  return state.before.filter((cursor) => typeof cursor === "string")
}

window.addEventListener("popstate", (event) => {
  pagesBefore.value = cursorsIn(event.state)
  address.value = read()
})

/** Says so when the address names a tenant that there cannot be. */
export const startRoute = (): void => {
  const named = new URLSearchParams(location.search).get("tenant")
  if (named === null || TENANT.test(named)) return
  say(`A tenant has 1 to 64 letters, digits, _ or -. These are the calls of ${tenant.peek()}.`, "bad")
}

interface How {
  /** Leaves no step to come back to. */
  readonly replace?: boolean
  /** The cursors of the pages before; as they are when the page of the list stays the same. */
  readonly before?: ReadonlyArray<string>
}

/** Shows something else. */
export const go = (change: Partial<Address>, how: How = {}): void => {
  const next = { ...address.peek(), ...change }
  const before = how.before ?? ("cursor" in change ? [] : pagesBefore.peek())
  if (how.replace === true) history.replaceState({ before }, "", formatAddress(next))
  else history.pushState({ before }, "", formatAddress(next))
  pagesBefore.value = before
  address.value = next
}

/** The first page of other calls. */
export const filterBy = (change: Partial<Address>, how?: How): void => go({ ...change, cursor: "", page: 1 }, how)

export const chooseTenant = (next: string): void => {
  remember("local", TENANT_KEY, next)
  go({ ...NO_FILTER, tenant: next, cursor: "", page: 1, call: "" })
}

export const openCall = (call: string, how?: How): void => go({ view: "status", call }, how)

export const closeCall = (): void => go({ call: "" })
