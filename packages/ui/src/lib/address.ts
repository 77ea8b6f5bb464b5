import type { Status } from "./wire.ts"

export const TABS = ["All", "Scheduled", "Running", "Succeeded", "Failed", "Cancelled", "Starred"] as const
export type Tab = (typeof TABS)[number]

/** What the page shows, all of it in the address. */
export interface Address {
  readonly view: "request" | "status"
  readonly tenant: string
  readonly tab: Tab
  readonly tags: ReadonlyArray<string>
  readonly q: string
  /** RFC 3339 in UTC, inclusive; empty for none. About when calls are due. */
  readonly from: string
  /** Exclusive. */
  readonly to: string
  /** Where the page of the list starts; empty for the first one. */
  readonly cursor: string
  /** Which page of the list this is, from 1. */
  readonly page: number
  /** The call in the panel; empty for none. */
  readonly call: string
}

export const TENANT_DEFAULT = "demo"
/** The tenant of a key that opens all of them. */
export const ALL_TENANTS = "*"
export const TENANT = /^[A-Za-z0-9_-]{1,64}$/

/** @param tenant for an address that names none */
export const parseAddress = (search: string, tenant = TENANT_DEFAULT): Address => {
  const query = new URLSearchParams(search)
  const text = (name: string) => query.get(name) ?? ""
  const cursor = text("cursor")
  const page = Number(text("page"))
  return {
    view: query.get("view") === "request" ? "request" : "status",
    tenant: TENANT.test(text("tenant")) ? text("tenant") : tenant,
    tab: TABS.find((tab) => tab.toLowerCase() === text("status").toLowerCase()) ?? "All",
    tags: [...new Set(query.getAll("tag"))].filter((tag) => tag !== ""),
    q: text("q"),
    from: instant(text("from")),
    to: instant(text("to")),
    cursor,
    page: cursor !== "" && Number.isSafeInteger(page) && page > 1 ? page : 1,
    call: text("call")
  }
}

/** The address as a query, without what is not set. */
export const formatAddress = (address: Address): string => {
  const query = new URLSearchParams({ tenant: address.tenant, view: address.view })
  if (address.view === "status") {
    if (address.tab !== "All") query.set("status", address.tab)
    for (const tag of address.tags) query.append("tag", tag)
    for (const name of ["q", "from", "to", "cursor"] as const) if (address[name] !== "") query.set(name, address[name])
    if (address.page > 1) query.set("page", String(address.page))
    if (address.call !== "") query.set("call", address.call)
  }
  return `?${query}`
}

/** What decides which calls are in the list. */
export type Filter = Pick<Address, "tab" | "tags" | "q" | "from" | "to">

export const NO_FILTER: Filter = { tab: "All", tags: [], q: "", from: "", to: "" }

export const isFiltered = ({ tags, q, from, to }: Filter): boolean => tags.length > 0 || q !== "" || from + to !== ""

const STATUSES: Readonly<Record<Tab, ReadonlyArray<Status>>> = {
  All: [],
  // What is accepted and not yet looked at waits, too.
  Scheduled: ["Submitted", "Scheduled"],
  Running: ["Running"],
  Succeeded: ["Succeeded"],
  Failed: ["Failed"],
  Cancelled: ["Cancelled"],
  Starred: []
}
/** The states of the calls under a tab; none for all of them. */
export const statusesOf = (tab: Tab): ReadonlyArray<Status> => STATUSES[tab]

/** The filter as the API's list takes it. */
export const listQuery = ({ tab, tags, q, from, to }: Filter): URLSearchParams => {
  const query = new URLSearchParams()
  for (const status of statusesOf(tab)) query.append("status", status)
  for (const tag of new Set(tab === "Starred" ? [...tags, "starred"] : tags)) query.append("tag", tag)
  if (q !== "") query.set("q", q)
  if (from !== "") query.set("from", from)
  if (to !== "") query.set("to", to)
  return query
}

const instant = (text: string): string => {
  const time = Date.parse(text)
  return Number.isNaN(time) ? "" : new Date(time).toISOString()
}
