import { pretty } from "../lib/pretty.ts"
import { visibleLine, visibleText } from "../lib/visible-text.ts"
import type { Detail } from "../lib/wire.ts"
import { copy } from "../state/notices.ts"
import { IconButton } from "./icon-button.tsx"

const SENT = {
  no: "The request did not leave: the target got nothing.",
  maybe: "Nobody can know whether the target got the request.",
  yes: "The target got the request."
} as const

/** What the target answered, or why there is no answer. All of it is text. */
export const Outcome = ({ call: { outcome } }: { readonly call: Detail }) => {
  if (outcome === null) return null
  if (outcome.type === "Cancelled") {
    return <p class="note">Cancelled{outcome.reason === null ? "." : `: ${visibleText(outcome.reason)}`}</p>
  }
  if (outcome.type === "Succeeded") return <Answer {...outcome.response} />
  const { kind, message, sent, headers, bodySnippet, bodyBytes } = outcome.error
  return (
    <>
      <div class="failure">
        <p>
          <strong>{kind}</strong> {visibleText(message)}
        </p>
        <p class="quiet">
          <code>sent: {sent}</code> {SENT[sent]}
        </p>
      </div>
      {(headers !== undefined || bodySnippet !== undefined) && (
        <Answer headers={headers ?? {}} bodySnippet={bodySnippet ?? ""} bodyBytes={bodyBytes ?? 0} />
      )}
    </>
  )
}

interface AnswerProps {
  readonly headers: Readonly<Record<string, string>>
  readonly bodySnippet: string
  readonly bodyBytes: number
}

const Answer = ({ headers, bodySnippet, bodyBytes }: AnswerProps) => {
  const shownBytes = new TextEncoder().encode(bodySnippet).byteLength
  return (
    <>
      <HeaderList headers={headers} title="Response headers" />
      {bodySnippet === "" ? (
        <p class="quiet">The answer has no body.</p>
      ) : (
        <div class="code-block">
          <div class="code-head">
            <span>Response body</span>
            <IconButton icon="copy" label="Copy the body" onClick={() => void copy(bodySnippet, "The body")} />
          </div>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keys */}
          <pre tabIndex={0}>{visibleText(pretty(bodySnippet))}</pre>
          {bodyBytes > shownBytes && (
            <p class="hint">
              The first {shownBytes} of {bodyBytes} bytes.
            </p>
          )}
        </div>
      )}
    </>
  )
}

export const HeaderList = ({
  headers,
  title
}: {
  readonly headers: Readonly<Record<string, string>>
  readonly title: string
}) => {
  const entries = Object.entries(headers)
  if (entries.length === 0) return null
  return (
    <details class="header-list">
      <summary>
        {title} <span class="count">{entries.length}</span>
      </summary>
      <dl>
        {entries.map(([name, value]) => (
          <div key={name}>
            <dt>{visibleLine(name)}</dt>
            <dd>{visibleLine(value)}</dd>
          </div>
        ))}
      </dl>
    </details>
  )
}
