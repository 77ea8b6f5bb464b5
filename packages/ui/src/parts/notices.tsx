import { notice } from "../state/notices.ts"

/** What has just happened, in a corner and for screen readers. */
export const Notices = () => (
  <div class="notices" role="status" aria-live="polite">
    {notice.value !== undefined && <p data-tone={notice.value.tone}>{notice.value.text}</p>}
  </div>
)
