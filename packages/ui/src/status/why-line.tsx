import { useEffect, useState } from "preact/hooks"
import { visibleText } from "../lib/visible-text.ts"
import { type Detail, isTerminal, type Why } from "../lib/wire.ts"
import { ask, callOf } from "../state/api.ts"

const ASK_MS = 5_000

/** What a call waits for, in the service's own words, while it waits. */
export const WhyLine = ({ call: { tenantId, serviceCallId, status } }: { readonly call: Detail }) => {
  const [summary, setSummary] = useState("")
  // Another state is another reason
  useEffect(() => {
    let isGone = false
    const read = async () => {
      const answer = await ask<Why>(`${callOf(tenantId, serviceCallId)}/why`)
      if (!isGone) setSummary(answer.ok ? answer.value.summary : "")
    }
    setSummary("")
    if (isTerminal(status)) return
    void read()
    const timer = setInterval(() => void read(), ASK_MS)
    return () => {
      isGone = true
      clearInterval(timer)
    }
  }, [tenantId, serviceCallId, status])
  return summary === "" ? null : <p class="note">{visibleText(summary)}</p>
}
