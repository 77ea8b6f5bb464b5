import { isLive, wasLive } from "../state/live.ts"

/** Whether the page hears of changes as they happen. */
export const LiveMark = () => (
  <span
    class="live-mark"
    data-live={isLive.value}
    title={isLive.value ? "Changes show as they happen" : "The page tries to connect again"}
  >
    {isLive.value ? "live" : wasLive.value ? "reconnecting…" : "connecting…"}
  </span>
)
