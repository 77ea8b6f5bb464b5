import type { Call } from "../contender.ts"

/** What a peer's program is told: where its server is, and where its calls go. */
export interface PeerOptions {
  readonly targetUrl: string
  /** An address of its server, or empty. */
  readonly serverUrl: string
  readonly folder: string
}

/** A job library with its worker running. */
export interface Peer {
  /** Returns once the library says that the call is stored. */
  readonly submit: (call: Call) => Promise<void>
  /** How many calls have their outcome stored since the start. */
  readonly finished: () => number | Promise<number>
  readonly close: () => Promise<void>
}

export type OpenPeer = (options: PeerOptions) => Promise<Peer>

/**
 * Loads a package of the bench alone. Its types stay out of the type check, which therefore neither needs it installed
 * nor suffers from its declarations: each peer names the few parts that it uses.
 */
export const load = (name: string) => import(name)

/** Sends the call as users of the library would: with `fetch` on pooled connections, failing on other than 2xx. */
export const post = async (url: string, body: string): Promise<number> => {
  const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body })
  await response.arrayBuffer()
  if (!response.ok) throw new Error(`the target answered ${response.status}`)
  return response.status
}
