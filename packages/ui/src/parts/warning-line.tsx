import { NO_FILTER } from "../lib/address.ts"
import { warning } from "../state/health.ts"
import { Icon } from "./icon.tsx"
import { Link } from "./link.tsx"

/** Nothing while all is well. */
export const WarningLine = () => (
  <div class="warning-place" role="status" aria-live="polite">
    {warning.value !== undefined && (
      <p class="warning-line">
        <Icon name="warn" />
        <span>{warning.value.text}</span>
        {warning.value.overdueBefore !== "" && (
          <Link
            to={{
              ...NO_FILTER,
              view: "status",
              tab: "Scheduled",
              to: warning.value.overdueBefore,
              cursor: "",
              page: 1
            }}
          >
            Show them
          </Link>
        )}
      </p>
    )}
  </div>
)
