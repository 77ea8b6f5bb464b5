import { apiKey, forgetKey } from "../state/key.ts"
import { isHelpOpen } from "../state/keyboard.ts"
import { view } from "../state/route.ts"
import { theme, toggleTheme } from "../state/theme.ts"
import { IconButton } from "./icon-button.tsx"
import { Link } from "./link.tsx"
import { LiveMark } from "./live-mark.tsx"
import { TenantChooser } from "./tenant-chooser.tsx"

export const Header = () => (
  <header class="top">
    <Link to={{ view: "status", call: "" }} class="brand" label="Event Service Agent, status">
      <svg viewBox="0 0 16 16" aria-hidden="true" focusable="false">
        <rect width="16" height="16" rx="4" />
        <path d="M8 4v4l3 2" />
      </svg>
      <span>Event Service Agent</span>
    </Link>
    <nav aria-label="Views">
      <Link to={{ view: "status" }} isCurrent={view.value === "status"}>
        Status
      </Link>
      <Link to={{ view: "request", call: "" }} isCurrent={view.value === "request"}>
        Request
      </Link>
    </nav>
    <LiveMark />
    <TenantChooser />
    <div class="tools">
      {apiKey.value !== "" && (
        <button type="button" class="quiet-button" onClick={forgetKey}>
          Forget key
        </button>
      )}
      <a href="/docs" class="docs">
        API
      </a>
      <IconButton
        icon={theme.value === "dark" ? "light" : "dark"}
        label={theme.value === "dark" ? "Light colours" : "Dark colours"}
        onClick={toggleTheme}
      />
      <button
        type="button"
        class="icon-button help"
        aria-label="Keys"
        title="Keys"
        onClick={() => {
          isHelpOpen.value = true
        }}
      >
        ?
      </button>
    </div>
  </header>
)
