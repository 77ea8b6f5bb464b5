import { formatSpan } from "@event-service-agent/schemas/format-span"
import { stepsOf } from "../lib/timeline.ts"
import { formatClock, formatDay, formatLocal, formatRelative } from "../lib/times.ts"
import type { Detail } from "../lib/wire.ts"
import { now } from "../state/clock.ts"

/** Submitted, due, started, finished: when, and how long in between. */
export const Timeline = ({ call }: { readonly call: Detail }) => (
  <ol class="timeline">
    {stepsOf(call).map((step, index, steps) => (
      <li key={step.name} data-state={step.at === null ? "open" : step.isAhead ? "ahead" : "done"}>
        <span class="step">{step.name}</span>
        <span class="at" title={step.at === null ? undefined : formatLocal(step.at)}>
          {step.at === null ? "–" : <At time={step.at} isAhead={step.isAhead} after={steps[index - 1]?.at ?? null} />}
        </span>
        <span class="gap">{step.afterMs === null ? "" : `+${formatSpan(step.afterMs)}`}</span>
      </li>
    ))}
  </ol>
)

interface AtProps {
  readonly time: number
  readonly isAhead: boolean
  /** The step before it: the date is told once. */
  readonly after: number | null
}

const At = ({ time, isAhead, after }: AtProps) => {
  if (isAhead) return <>{formatRelative(time, now.value)}</>
  const day = formatDay(time, Date.now())
  const isSameDay = after !== null && formatDay(after, Date.now()) === day
  return (
    <>
      {isSameDay ? "" : `${day} `}
      {formatClock(time)}
      <span class="millis">.{String(time % 1_000).padStart(3, "0")}</span>
    </>
  )
}
