import { copy } from "../state/notices.ts"
import { Icon } from "./icon.tsx"

interface Props {
  /** What is copied. */
  readonly text: string
  /** What of it is shown; all of it when absent. */
  readonly shown?: string
  /** What it is, as in "Correlation id". */
  readonly what: string
}

/** A value that one click copies. */
export const Copyable = ({ text, shown = text, what }: Props) => (
  <button
    type="button"
    class="copyable"
    title={`Copy: ${text}`}
    aria-label={`Copy ${what} ${text}`}
    onClick={(event) => {
      event.stopPropagation()
      void copy(text, what)
    }}
  >
    <code>{shown}</code>
    <Icon name="copy" />
  </button>
)
