import { visibleText } from "../lib/visible-text.ts"
import type { Detail } from "../lib/wire.ts"
import { formatBytes } from "../parts/call-facts.tsx"
import { HeaderList } from "../parts/outcome.tsx"

/** The request as far as it is shown: what may be secret is not. */
export const RequestPart = ({ call: { request, timeoutMs, onUnknown, requestKept } }: { readonly call: Detail }) => (
  <section>
    <h3>Request</h3>
    <p class="request-line">
      <span class="method">{request.method}</span> <span>{visibleText(request.url)}</span>
    </p>
    <HeaderList headers={request.headers} title="Request headers" />
    <p class="quiet">
      {request.bodyBytes === 0 ? "No body" : `Body of ${formatBytes(request.bodyBytes)}, sealed`} · timeout {timeoutMs}{" "}
      ms · {onUnknown === "fail" ? "at most once" : "at most twice"}
      {requestKept ? " · kept for resending" : ""}
    </p>
  </section>
)
