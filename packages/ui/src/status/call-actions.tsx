import { useEffect, useState } from "preact/hooks"
import type { Problem } from "../lib/problem.ts"
import type { Detail } from "../lib/wire.ts"
import { Icon } from "../parts/icon.tsx"
import { ProblemBox } from "../parts/problem-box.tsx"
import { cancelCall, resendCall } from "../state/change-call.ts"
import { mayChange } from "../state/key.ts"
import { say } from "../state/notices.ts"
import { cloneCall } from "../state/request.ts"
import { openCall } from "../state/route.ts"
import type { WatchedCall } from "../state/watched-call.ts"

/** For how long the second click counts. */
const CONFIRM_MS = 4_000

interface Props {
  readonly call: Detail
  readonly watched: WatchedCall
}

export const CallActions = ({ call, watched }: Props) => {
  const [problem, setProblem] = useState<Problem>()
  const [isBusy, setBusy] = useState(false)
  const resend = async () => {
    setBusy(true)
    const result = await resendCall(call)
    setBusy(false)
    if (typeof result !== "string") return setProblem(result)
    say("Sent again, as another call")
    openCall(result)
  }
  if (!mayChange.value) return null
  const canCancel = call.status === "Submitted" || call.status === "Scheduled"
  return (
    <>
      <div class="actions">
        {canCancel && <CancelButton call={call} watched={watched} onProblem={setProblem} />}
        {call.requestKept && (
          <button
            type="button"
            disabled={isBusy}
            onClick={() => void resend()}
            title="The same request, as another call"
          >
            <Icon name="repeat" /> Resend
          </button>
        )}
        <button type="button" onClick={() => cloneCall(call)} title="Fill the form with this request">
          <Icon name="copy" /> Clone
        </button>
      </div>
      {problem !== undefined && <ProblemBox problem={problem} />}
    </>
  )
}

const CancelButton = ({ call, watched, onProblem }: Props & { readonly onProblem: (problem?: Problem) => void }) => {
  const [step, setStep] = useState<"ask" | "confirm" | "busy">("ask")
  useEffect(() => {
    if (step !== "confirm") return
    const timer = setTimeout(() => setStep("ask"), CONFIRM_MS)
    return () => clearTimeout(timer)
  }, [step])
  const cancel = async () => {
    setStep("busy")
    const problem = await cancelCall(call)
    onProblem(problem)
    if (problem === undefined) say("Cancelled")
    watched.refresh()
    setStep("ask")
  }
  return (
    <button
      type="button"
      class={step === "confirm" ? "danger" : ""}
      disabled={step === "busy"}
      onClick={() => (step === "ask" ? setStep("confirm") : void cancel())}
    >
      <Icon name="close" />
      <span aria-live="polite">{step === "confirm" ? "Click again to cancel it" : "Cancel"}</span>
    </button>
  )
}
