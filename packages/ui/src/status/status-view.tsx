import { ProblemBox } from "../parts/problem-box.tsx"
import { calls, isLoading, listProblem, reload } from "../state/calls.ts"
import { address } from "../state/route.ts"
import { CallPanel } from "./call-panel.tsx"
import { CallTable } from "./call-table.tsx"
import { Filters } from "./filters.tsx"
import { NewCalls } from "./new-calls.tsx"
import { NoCalls } from "./no-calls.tsx"
import { Pager } from "./pager.tsx"
import { Skeleton } from "./skeleton.tsx"
import { Tabs } from "./tabs.tsx"

/** The calls of the tenant, and one of them beside. */
export const StatusView = () => (
  <div class="status-view" data-panel={address.value.call !== ""}>
    <section class="list" aria-labelledby="list-title">
      <h1 id="list-title" class="unseen">
        Calls of {address.value.tenant}
      </h1>
      <Tabs />
      <Filters />
      <List />
    </section>
    {address.value.call !== "" && <CallPanel key={address.value.call} id={address.value.call} />}
  </div>
)

const List = () => {
  const known = calls.value
  const problem = listProblem.value
  if (problem !== undefined) return <ProblemBox problem={problem} onRetry={() => void reload()} />
  if (known === undefined) return <Skeleton />
  if (known.items.length === 0 && !isLoading.value) return <NoCalls />
  return (
    <>
      <NewCalls />
      <CallTable items={known.items} isBusy={isLoading.value} />
      <Pager />
    </>
  )
}
