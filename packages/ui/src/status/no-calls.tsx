import { isFiltered, NO_FILTER } from "../lib/address.ts"
import { echoExample } from "../request/examples.tsx"
import { askForFacts, facts } from "../state/facts.ts"
import { clearDraft, fillDraft } from "../state/request.ts"
import { address, filterBy, go } from "../state/route.ts"

const makeFirst = async () => {
  await askForFacts()
  const { echoUrl } = facts.peek()
  clearDraft()
  if (echoUrl !== null) fillDraft(echoExample(echoUrl))
  go({ view: "request", call: "" })
}

/** Says why nothing is here, and what to do about it. */
export const NoCalls = () => {
  const { tab, tenant } = address.value
  if (tab !== "All" || isFiltered(address.value)) {
    return (
      <div class="empty">
        <p>{isFiltered(address.value) ? "No call fits these filters." : EMPTY_TAB[tab]}</p>
        <button type="button" onClick={() => filterBy(NO_FILTER)}>
          Show all calls
        </button>
      </div>
    )
  }
  return (
    <div class="empty">
      <h2>
        No calls yet for <code>{tenant}</code>
      </h2>
      <p>
        A call is an HTTP request that the agent makes for you, now or at a time you choose. It shows here as it
        happens.
      </p>
      <button type="button" class="primary" onClick={() => void makeFirst()}>
        Make the first call
      </button>
    </div>
  )
}

const EMPTY_TAB = {
  All: "",
  Scheduled: "Nothing waits for its time.",
  Running: "Nothing is running at the moment.",
  Succeeded: "No call has succeeded yet.",
  Failed: "No call has failed.",
  Cancelled: "No call was cancelled.",
  Starred: "No call has a star. Star the calls you want to find again."
} as const
