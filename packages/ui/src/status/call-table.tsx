import type { Summary } from "../lib/wire.ts"
import { CallRow } from "./call-row.tsx"

interface Props {
  readonly items: ReadonlyArray<Summary>
  /** Others are on their way. */
  readonly isBusy: boolean
}

/** The rows, on a phone as cards. */
export const CallTable = ({ items, isBusy }: Props) => (
  <div class="table-place" data-busy={isBusy}>
    <table class="calls" aria-busy={isBusy}>
      <colgroup>
        <col class="c-star" />
        <col class="c-name" />
        <col class="c-status" />
        <col class="c-due" />
        <col class="c-submitted" />
        <col class="c-late" />
        <col class="c-id" />
      </colgroup>
      <thead>
        <tr>
          <th scope="col">
            <span class="unseen">Star</span>
          </th>
          <th scope="col">Name</th>
          <th scope="col">Status</th>
          <th scope="col">Due</th>
          <th scope="col" class="c-submitted">
            Submitted
          </th>
          <th scope="col" class="number">
            Late
          </th>
          <th scope="col" class="c-id">
            Id
          </th>
        </tr>
      </thead>
      <tbody>
        {items.map((call) => (
          <CallRow key={call.serviceCallId} call={call} />
        ))}
      </tbody>
    </table>
  </div>
)
