import { TABS } from "../lib/address.ts"
import { Link } from "../parts/link.tsx"
import { address } from "../state/route.ts"
import { countOf, stats } from "../state/stats.ts"

/** The states of calls, each with how many there are. */
export const Tabs = () => (
  <nav class="tabs" aria-label="Status">
    {TABS.map((tab) => {
      const count = countOf(tab, stats.value)
      return (
        <Link key={tab} to={{ tab, cursor: "", page: 1 }} isCurrent={address.value.tab === tab}>
          {tab === "Starred" ? <StarredName /> : tab}
          <span class="count" data-tab={tab}>
            {count === undefined ? "" : count.toLocaleString("en")}
          </span>
        </Link>
      )
    })}
  </nav>
)

const StarredName = () => (
  <>
    <span aria-hidden="true">★</span>
    <span class="unseen">Starred</span>
  </>
)
