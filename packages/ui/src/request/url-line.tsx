import { looksLikeCurl, parseCurl } from "../lib/curl.ts"
import { METHODS } from "../lib/wire.ts"
import { describe, FieldProblems } from "../parts/field.tsx"
import { say } from "../state/notices.ts"
import { change, draft, fillFromCurl, problemsAt } from "../state/request.ts"

const take = (text: string): boolean => {
  if (!looksLikeCurl(text)) return false
  const request = parseCurl(text)
  if (request === undefined) say("This curl command cannot be read", "bad")
  else fillFromCurl(request)
  return request !== undefined
}

/** Method and URL. A curl command in the place of the URL fills the form. */
export const UrlLine = () => {
  const problems = [...problemsAt("method"), ...problemsAt("url")]
  return (
    <div class="field">
      <div class="url-line">
        <label for="method" class="unseen">
          Method
        </label>
        <select
          id="method"
          value={draft.value.method}
          onChange={(event) => {
            const method = METHODS.find((name) => name === event.currentTarget.value)
            if (method !== undefined) change({ method })
          }}
        >
          {METHODS.map((method) => (
            <option key={method}>{method}</option>
          ))}
        </select>
        <label for="url" class="unseen">
          URL
        </label>
        <input
          {...describe("url", problems)}
          type="text"
          inputMode="url"
          spellcheck={false}
          placeholder="https://example.com/hook, or paste a curl command"
          value={draft.value.url}
          onPaste={(event) => {
            if (take(event.clipboardData?.getData("text") ?? "")) event.preventDefault()
          }}
          onInput={(event) => {
            const { value } = event.currentTarget
            change({ url: value })
          }}
        />
      </div>
      <FieldProblems of="url" problems={problems} />
    </div>
  )
}
