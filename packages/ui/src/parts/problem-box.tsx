import type { FieldProblem, Problem } from "../lib/problem.ts"
import { shortId } from "../lib/short-id.ts"
import { visibleText } from "../lib/visible-text.ts"
import { Copyable } from "./copyable.tsx"
import { Icon } from "./icon.tsx"

/** What is refused for a reason that the answer tells is in no log. */
const LOGGED_FROM = 500

interface Props {
  readonly problem: Problem
  /** What of it has no other place. */
  readonly errors?: ReadonlyArray<FieldProblem>
  readonly onRetry?: () => void
}

/** Why something did not work, and what can be done. */
export const ProblemBox = ({ problem: { status, title, detail, correlationId }, errors = [], onRetry }: Props) => (
  <div class="problem" role="alert">
    <Icon name="warn" />
    <div>
      <strong>{visibleText(title)}</strong>
      {detail !== "" && <p>{visibleText(detail)}</p>}
      {errors.length > 0 && (
        <ul>
          {errors.map(({ pointer, detail: each }) => (
            <li key={pointer + each}>
              <code>{visibleText(pointer)}</code> {visibleText(each)}
            </li>
          ))}
        </ul>
      )}
      {correlationId !== "" && status >= LOGGED_FROM && (
        <p class="quiet">
          In the log as <Copyable text={correlationId} shown={shortId(correlationId)} what="Correlation id" />
        </p>
      )}
    </div>
    {onRetry !== undefined && (
      <button type="button" onClick={onRetry}>
        Try again
      </button>
    )}
  </div>
)
