import { isFiltered } from "../lib/address.ts"
import { Icon } from "../parts/icon.tsx"
import { calls, isLoading, PAGE_SIZE } from "../state/calls.ts"
import { address, go, pagesBefore } from "../state/route.ts"
import { countOf, stats } from "../state/stats.ts"

const forward = (next: string) => {
  const { cursor, page } = address.peek()
  go({ cursor: next, page: page + 1 }, { before: [...pagesBefore.peek(), cursor] })
  scrollTo({ top: 0 })
}

/** Back along the way one came; from a link into the middle, to the first page. */
const back = () => {
  const before = pagesBefore.peek()
  const { page } = address.peek()
  const cursor = before.at(-1) ?? ""
  go({ cursor, page: cursor === "" ? 1 : page - 1 }, { before: before.slice(0, -1) })
  scrollTo({ top: 0 })
}

export const Pager = () => {
  const known = calls.value
  const { page, cursor, tab } = address.value
  if (known === undefined) return null
  const first = (page - 1) * PAGE_SIZE + 1
  const total = isFiltered(address.value) ? undefined : countOf(tab, stats.value)
  const { next } = known
  return (
    <nav class="pager" aria-label="Pages">
      <span aria-live="polite">
        {known.items.length === 0 ? "0" : `${first}–${first + known.items.length - 1}`}
        {total !== undefined && ` of ${Math.max(total, first + known.items.length - 1).toLocaleString("en")}`}
      </span>
      <button type="button" onClick={back} disabled={cursor === "" || isLoading.value}>
        <Icon name="left" /> Previous
      </button>
      <button type="button" onClick={() => next !== null && forward(next)} disabled={next === null || isLoading.value}>
        Next <Icon name="right" />
      </button>
    </nav>
  )
}
