import { PAGE_SIZE, reload, unseen } from "../state/calls.ts"

/** Tells of calls that are not in view, and leaves it to people when the rows move. */
export const NewCalls = () => {
  const count = unseen.value
  return (
    <div class="new-place" aria-live="polite">
      {count > 0 && (
        <button type="button" class="new-calls" onClick={() => void reload().then(() => scrollTo({ top: 0 }))}>
          {count >= PAGE_SIZE ? `${count} or more` : count} new
        </button>
      )}
    </div>
  )
}
