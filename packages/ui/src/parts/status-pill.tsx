import type { Status } from "../lib/wire.ts"

/** The state of a call: a word first, the colour only helps. */
export const StatusPill = ({ status }: { readonly status: Status }) => (
  <span class="pill" data-status={status}>
    {status}
  </span>
)
