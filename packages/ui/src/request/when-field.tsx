import { formatLocal, formatRelative, formatUtc, fromLocalInput, toLocalInput } from "../lib/times.ts"
import { describe, FieldProblems } from "../parts/field.tsx"
import { now } from "../state/clock.ts"
import { change, draft, problemsAt } from "../state/request.ts"

const HOUR_MS = 3_600_000
const QUICK = [
  ["+1 min", 60_000],
  ["+15 min", 900_000],
  ["+1 h", HOUR_MS],
  ["+1 d", 24 * HOUR_MS]
] as const

/** The next full hour: a time that people mean. */
const suggestion = () => new Date(Math.ceil((Date.now() + 60_000) / HOUR_MS) * HOUR_MS).toISOString()

export const WhenField = () => {
  const { when, dueAt } = draft.value
  const problems = problemsAt("dueAt")
  return (
    <fieldset class="field when">
      <legend>When</legend>
      <div class="when-line">
        <div class="segments">
          <label>
            <input type="radio" name="when" checked={when === "now"} onChange={() => change({ when: "now" })} />
            <span>Execute now</span>
          </label>
          <label>
            <input
              type="radio"
              name="when"
              checked={when === "later"}
              onChange={() => change({ when: "later", dueAt: dueAt === "" ? suggestion() : dueAt })}
            />
            <span>Schedule</span>
          </label>
        </div>
        {when === "later" && (
          <>
            <label for="due" class="unseen">
              Due
            </label>
            <input
              {...describe("due", problems)}
              type="datetime-local"
              step={1}
              value={dueAt === "" ? "" : toLocalInput(Date.parse(dueAt))}
              onChange={(event) => change({ dueAt: fromLocalInput(event.currentTarget.value) })}
            />
            <span class="quick">
              {QUICK.map(([label, millis]) => (
                <button
                  key={label}
                  type="button"
                  class="quiet-button"
                  onClick={() => change({ dueAt: new Date(Date.now() + millis).toISOString() })}
                >
                  {label}
                </button>
              ))}
            </span>
          </>
        )}
      </div>
      {when === "later" && dueAt !== "" && <DueTime at={dueAt} />}
      <FieldProblems of="due" problems={problems} />
    </fieldset>
  )
}

/** The same instant in three ways: the one that people chose, the one that servers log, and how long that is. */
const DueTime = ({ at }: { readonly at: string }) => {
  const time = Date.parse(at)
  return (
    <p class="due-time">
      <strong>{formatRelative(time, now.value)}</strong>
      <span>
        {formatLocal(time)} {Intl.DateTimeFormat().resolvedOptions().timeZone}
      </span>
      <span>{formatUtc(time)}</span>
    </p>
  )
}
