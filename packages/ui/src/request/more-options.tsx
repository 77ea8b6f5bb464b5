import { describe, Field, FieldProblems } from "../parts/field.tsx"
import { IconButton } from "../parts/icon-button.tsx"
import { change, draft, problemsAt, renewKey } from "../state/request.ts"

const IDS = ["timeoutMs", "onUnknown", "targetIsIdempotent", "keepRequest"] as const

/** What most calls can leave alone. Opens by itself when something in it is wrong. */
export const MoreOptions = () => {
  const isWrong = IDS.some((id) => problemsAt(id).length > 0)
  const { timeoutMs, onUnknown, targetIsIdempotent, keepRequest, idempotencyKey } = draft.value
  const isUsed = timeoutMs !== "" || onUnknown !== "fail" || targetIsIdempotent || keepRequest
  return (
    <>
      <Field
        for="key"
        label="Idempotency key"
        class="key-field"
        hint="Sending this key again gives this call again, not another one."
        problems={problemsAt("idempotencyKey")}
      >
        <span class="key-line">
          <input
            {...describe("key", problemsAt("idempotencyKey"))}
            class="mono"
            type="text"
            spellcheck={false}
            value={idempotencyKey}
            onInput={(event) => change({ idempotencyKey: event.currentTarget.value })}
          />
          <IconButton icon="repeat" label="New key" onClick={renewKey} />
        </span>
      </Field>
      <details class="more" open={isWrong || isUsed || undefined}>
        <summary>Timeout and delivery</summary>
        <div class="pair">
          <Field for="timeout" label="Timeout in ms" problems={problemsAt("timeoutMs")}>
            <input
              {...describe("timeout", problemsAt("timeoutMs"))}
              type="text"
              inputMode="numeric"
              placeholder="10000"
              value={timeoutMs}
              onInput={(event) => change({ timeoutMs: event.currentTarget.value })}
            />
          </Field>
          <Field for="on-unknown" label="If nobody can know whether it was sent" problems={problemsAt("onUnknown")}>
            <select
              {...describe("on-unknown", problemsAt("onUnknown"))}
              value={onUnknown}
              onChange={(event) => change({ onUnknown: event.currentTarget.value === "resend" ? "resend" : "fail" })}
            >
              <option value="fail">Fail: the target gets it at most once</option>
              <option value="resend">Send again: at most twice</option>
            </select>
          </Field>
        </div>
        <label class="check">
          <input
            type="checkbox"
            checked={targetIsIdempotent}
            onChange={(event) => change({ targetIsIdempotent: event.currentTarget.checked })}
          />
          The target does nothing more when the same Idempotency-Key comes again
        </label>
        <FieldProblems of="idempotent" problems={problemsAt("targetIsIdempotent")} />
        <label class="check">
          <input
            type="checkbox"
            checked={keepRequest}
            onChange={(event) => change({ keepRequest: event.currentTarget.checked })}
          />
          Keep the sealed request after the call has ended, so that it can be sent again
        </label>
        <FieldProblems of="keep" problems={problemsAt("keepRequest")} />
      </details>
    </>
  )
}
