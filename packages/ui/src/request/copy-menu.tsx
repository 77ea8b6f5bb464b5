import { useRef } from "preact/hooks"
import { writeCurl } from "../lib/curl-writer.ts"
import { namedHeaders, toSubmission } from "../lib/draft.ts"
import { Icon } from "../parts/icon.tsx"
import { callsOf } from "../state/api.ts"
import { copy } from "../state/notices.ts"
import { draft } from "../state/request.ts"
import { tenant } from "../state/route.ts"

const ofTarget = () => {
  const { method, url, body } = draft.peek()
  return writeCurl({ method, url, headers: namedHeaders(draft.peek()), body })
}

const ofApi = () =>
  writeCurl({
    method: "POST",
    url: location.origin + callsOf(tenant.peek()),
    headers: [
      ["Content-Type", "application/json"],
      ["Idempotency-Key", draft.peek().idempotencyKey]
    ],
    body: JSON.stringify(toSubmission(draft.peek()))
  })

/** The form as a command, with the secrets that are in it. */
export const CopyMenu = () => {
  const menu = useRef<HTMLDetailsElement>(null)
  const choose = (write: () => string, what: string) => () => {
    void copy(write(), what)
    menu.current?.removeAttribute("open")
    menu.current?.querySelector("summary")?.focus()
  }
  return (
    <details
      class="menu"
      ref={menu}
      onKeyDown={(event) => {
        if (event.key === "Escape") menu.current?.removeAttribute("open")
      }}
      onFocusOut={(event) => {
        const next = event.relatedTarget
        if (!(next instanceof Node && menu.current?.contains(next))) menu.current?.removeAttribute("open")
      }}
    >
      <summary class="quiet-button">
        Copy as curl <Icon name="down" />
      </summary>
      <div>
        <button type="button" onClick={choose(ofApi, "The call of this API")}>
          <strong>This call</strong> to the agent's API
        </button>
        <button type="button" onClick={choose(ofTarget, "The request to the target")}>
          <strong>The request</strong> straight to the target
        </button>
      </div>
    </details>
  )
}
