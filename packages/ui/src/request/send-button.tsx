import { formatSpan } from "@event-service-agent/schemas/format-span"
import { useEffect, useState } from "preact/hooks"
import { mayChange } from "../state/key.ts"
import { draft, sendingSince } from "../state/request.ts"

const TICK_MS = 100

export const SendButton = () => {
  const since = sendingSince.value
  const isLater = draft.value.when === "later"
  return (
    <>
      <button
        type="submit"
        class="primary"
        aria-busy={since !== undefined}
        aria-describedby={mayChange.value ? undefined : "only-reads"}
        disabled={since !== undefined || !mayChange.value}
      >
        {since === undefined ? isLater ? "Schedule" : "Send" : <Elapsed since={since} />}
      </button>
      {!mayChange.value && (
        <span id="only-reads" class="hint">
          This key may only read.
        </span>
      )}
    </>
  )
}

const Elapsed = ({ since }: { readonly since: number }) => {
  const [time, setTime] = useState(Date.now())
  useEffect(() => {
    const timer = setInterval(() => setTime(Date.now()), TICK_MS)
    return () => clearInterval(timer)
  }, [])
  return <>Sending {formatSpan(Math.max(0, time - since))}</>
}
