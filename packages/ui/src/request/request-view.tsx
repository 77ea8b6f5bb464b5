import { shortId } from "../lib/short-id.ts"
import { ProblemBox } from "../parts/problem-box.tsx"
import { clearDraft, draft, fieldProblems, otherProblems, problem, send } from "../state/request.ts"
import { openCall } from "../state/route.ts"
import { BodyField } from "./body-field.tsx"
import { CopyMenu } from "./copy-menu.tsx"
import { Examples } from "./examples.tsx"
import { HeaderRows } from "./header-rows.tsx"
import { MoreOptions } from "./more-options.tsx"
import { NameField } from "./name-field.tsx"
import { Result } from "./result.tsx"
import { SendButton } from "./send-button.tsx"
import { UrlLine } from "./url-line.tsx"
import { WhenField } from "./when-field.tsx"

/** The form that makes a call, and what came of it. */
export const RequestView = () => {
  const { clonedFrom } = draft.value
  return (
    <div class="request-view">
      <form
        class="request-form"
        autocomplete="off"
        aria-label="Request"
        onSubmit={(event) => {
          event.preventDefault()
          void send()
        }}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return
          event.preventDefault()
          void send()
        }}
      >
        <div class="view-head">
          <h1>Request</h1>
          <Examples />
        </div>
        {clonedFrom !== null && (
          <p class="note">
            Made from{" "}
            <button type="button" class="linkish" onClick={() => openCall(clonedFrom)}>
              {shortId(clonedFrom)}
            </button>
            . What is redacted there has to be entered again.
          </p>
        )}
        <Problems />
        <UrlLine />
        <NameField />
        <HeaderRows />
        <BodyField />
        <WhenField />
        <MoreOptions />
        <div class="form-foot">
          <SendButton />
          <CopyMenu />
          <button type="button" class="quiet-button" onClick={clearDraft}>
            Clear
          </button>
        </div>
      </form>
      <Result />
    </div>
  )
}

/** What is wrong with a field stands there, and only the rest here. */
const Problems = () => {
  const known = problem.value
  if (known === undefined) return null
  const isAtFields = fieldProblems.value.length > otherProblems().length
  const shown = isAtFields ? { ...known, detail: "What has to change is said at its field." } : known
  return <ProblemBox problem={shown} errors={otherProblems()} />
}
