import { useEffect, useRef } from "preact/hooks"
import { CallFacts } from "../parts/call-facts.tsx"
import { Link } from "../parts/link.tsx"
import { Outcome } from "../parts/outcome.tsx"
import { ProblemBox } from "../parts/problem-box.tsx"
import { StatusPill } from "../parts/status-pill.tsx"
import { Time } from "../parts/time.tsx"
import { Timeline } from "../parts/timeline.tsx"
import { sendingSince, sent } from "../state/request.ts"

/** What came of the call that was sent last, as far as it has come. */
export const Result = () => {
  const place = useRef<HTMLElement>(null)
  const call = sent.value
  useEffect(() => {
    // On a narrow page it is below the form.
    if (call !== undefined) place.current?.scrollIntoView({ block: "nearest", behavior: "smooth" })
  }, [call])
  return (
    <section class="result" ref={place} aria-labelledby="result-title" aria-busy={sendingSince.value !== undefined}>
      <h2 id="result-title">Response</h2>
      <div aria-live="polite">{call === undefined ? <Nothing /> : <Sent id={call.id} />}</div>
    </section>
  )
}

const Nothing = () => (
  <p class="quiet nothing">
    {sendingSince.value === undefined
      ? "What the target answers shows here. A call that takes longer goes on without this page."
      : "Waiting for the outcome…"}
  </p>
)

const Sent = ({ id }: { readonly id: string }) => {
  const call = sent.value?.detail.value
  const problem = sent.value?.problem.value
  if (call === undefined) {
    if (problem !== undefined) return <ProblemBox problem={problem} onRetry={() => sent.peek()?.refresh()} />
    return <p class="quiet nothing">Accepted as {id}…</p>
  }
  const isWaiting = call.status === "Submitted" || call.status === "Scheduled"
  return (
    <div class="result-body">
      <p class="result-head">
        <StatusPill status={call.status} />
        {isWaiting && (
          <span>
            due <Time at={call.dueAt} form="relative" />
          </span>
        )}
        <Link to={{ view: "status", call: id }}>Open in Status</Link>
      </p>
      <CallFacts call={call} />
      <Outcome call={call} />
      {isWaiting && <Timeline call={call} />}
    </div>
  )
}
