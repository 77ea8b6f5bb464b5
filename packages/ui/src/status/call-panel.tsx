import { useEffect, useRef, useState } from "preact/hooks"
import { visibleText } from "../lib/visible-text.ts"
import { type Detail, STARRED } from "../lib/wire.ts"
import { CallFacts } from "../parts/call-facts.tsx"
import { Copyable } from "../parts/copyable.tsx"
import { IconButton } from "../parts/icon-button.tsx"
import { Outcome } from "../parts/outcome.tsx"
import { ProblemBox } from "../parts/problem-box.tsx"
import { StatusPill } from "../parts/status-pill.tsx"
import { Time } from "../parts/time.tsx"
import { Timeline } from "../parts/timeline.tsx"
import { toggleStar } from "../state/change-call.ts"
import { mayChange } from "../state/key.ts"
import { address, closeCall } from "../state/route.ts"
import { type WatchedCall, watchCall } from "../state/watched-call.ts"
import { CallActions } from "./call-actions.tsx"
import { CallTags } from "./call-tags.tsx"
import { DeadLetters } from "./dead-letters.tsx"
import { Identity } from "./identity.tsx"
import { RequestPart } from "./request-part.tsx"
import { WhyLine } from "./why-line.tsx"

/** It does not come back. */
const NOT_FOUND = 404

/** Everything about one call, beside the list or, on a phone, over it. */
export const CallPanel = ({ id }: { readonly id: string }) => {
  const panel = useRef<HTMLElement>(null)
  const [watched, setWatched] = useState<WatchedCall>()
  const { tenant } = address.value
  useEffect(() => {
    const watching = watchCall(tenant, id)
    setWatched(watching)
    return watching.stop
  }, [tenant, id])
  useEffect(() => {
    // On a phone it covers the row; beside the list the focus stays there, so that j and k go on.
    if (matchMedia("(max-width: 999px)").matches) panel.current?.focus()
    return () => {
      if (address.peek().call !== "") return
      requestAnimationFrame(() =>
        document.querySelector<HTMLElement>(`[data-row="${CSS.escape(id)}"] a[data-open]`)?.focus()
      )
    }
  }, [id])
  const call = watched?.detail.value
  const problem = watched?.problem.value
  return (
    <aside class="panel" ref={panel} tabIndex={-1} aria-label="Call">
      <div class="panel-head">
        {call !== undefined && (
          <IconButton
            icon="star"
            class="star"
            label={call.tags.includes(STARRED) ? "Take the star away" : "Star"}
            isPressed={call.tags.includes(STARRED)}
            isFilled={call.tags.includes(STARRED)}
            isDisabled={!mayChange.value}
            onClick={() => void toggleStar(call).then(watched?.refresh)}
          />
        )}
        <h2>{call === undefined ? "Call" : visibleText(call.name)}</h2>
        <IconButton icon="close" label="Close" onClick={closeCall} />
      </div>
      {call !== undefined && watched !== undefined ? (
        <Body call={call} watched={watched} />
      ) : problem !== undefined ? (
        <ProblemBox
          problem={problem}
          {...(problem.status === NOT_FOUND ? {} : { onRetry: watched?.refresh ?? (() => {}) })}
        />
      ) : (
        <div class="skeleton" role="status" aria-label="Loading">
          <div class="bone" />
          <div class="bone" />
          <div class="bone" />
        </div>
      )}
    </aside>
  )
}

const Body = ({ call, watched }: { readonly call: Detail; readonly watched: WatchedCall }) => (
  <div class="panel-body">
    <p class="panel-status" aria-live="polite">
      <StatusPill status={call.status} />
      {(call.status === "Submitted" || call.status === "Scheduled") && (
        <span>
          due <Time at={call.dueAt} form="relative" />
        </span>
      )}
      <Copyable text={call.serviceCallId} what="Id" />
    </p>
    <CallActions call={call} watched={watched} />
    <WhyLine call={call} />
    <DeadLetters call={call} />
    <Timeline call={call} />
    <section>
      <h3>Outcome</h3>
      {call.outcome === null ? <p class="quiet">None yet.</p> : null}
      <CallFacts call={call} />
      <Outcome call={call} />
    </section>
    <RequestPart call={call} />
    <CallTags call={call} watched={watched} />
    <Identity call={call} />
  </div>
)
