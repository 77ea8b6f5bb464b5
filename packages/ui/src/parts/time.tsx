import { formatLocal, formatRelative, formatShort, formatUtc } from "../lib/times.ts"
import { now } from "../state/clock.ts"

interface Props {
  readonly at: string
  /** `short` as in lists, `full` with everything, `relative` as told by a person. */
  readonly form?: "short" | "full" | "relative"
}

/** An instant; the other ways to write it are in its title. */
export const Time = ({ at, form = "short" }: Props) => {
  const time = Date.parse(at)
  if (form === "relative") return <RelativeTime at={at} time={time} />
  return (
    <time dateTime={at} title={`${formatLocal(time)} local, ${formatUtc(time)}`}>
      {form === "full" ? formatLocal(time) : formatShort(time, Date.now())}
    </time>
  )
}

/** Alone follows the clock, so that lists do not. */
const RelativeTime = ({ at, time }: { readonly at: string; readonly time: number }) => (
  <time dateTime={at} title={`${formatLocal(time)} local, ${formatUtc(time)}`}>
    {formatRelative(time, now.value)}
  </time>
)
