import { useEffect, useRef, useState } from "preact/hooks"
import { type Filter, isFiltered, NO_FILTER } from "../lib/address.ts"
import { fromLocalInput, toLocalInput } from "../lib/times.ts"
import { Icon } from "../parts/icon.tsx"
import { TagsInput } from "../parts/tags-input.tsx"
import { exportPath } from "../state/calls.ts"
import { apiKey } from "../state/key.ts"
import { address, filterBy } from "../state/route.ts"
import { saveExport } from "../state/save-export.ts"

const TYPING_MS = 250

export const Filters = () => {
  const { q, tags, from, to } = address.value
  const [isOpen, setOpen] = useState(false)
  return (
    <search class="filters">
      <Search q={q} />
      <button
        type="button"
        class="quiet-button filters-toggle"
        aria-expanded={isOpen}
        aria-controls="more-filters"
        onClick={() => setOpen(!isOpen)}
      >
        Filters
      </button>
      <div id="more-filters" class="more-filters" data-open={isOpen || tags.length > 0 || from + to !== ""}>
        <label for="filter-tags" class="unseen">
          Tags
        </label>
        <TagsInput id="filter-tags" tags={tags} placeholder="Tag" onChange={(next) => filterBy({ tags: next })} />
        <Due name="from" label="Due from" at={from} />
        <Due name="to" label="to" at={to} />
      </div>
      {isFiltered(address.value) && (
        <button type="button" class="quiet-button" onClick={() => filterBy({ ...NO_FILTER, tab: address.value.tab })}>
          Clear
        </button>
      )}
      <a
        class="quiet-button export"
        href={exportPath.value}
        download
        title="These calls as NDJSON, one in each line"
        onClick={(event) => {
          // A link sends no key.
          if (apiKey.peek() === "") return
          event.preventDefault()
          void saveExport(exportPath.peek())
        }}
      >
        <Icon name="export" /> Export
      </a>
    </search>
  )
}

/** Filters while people type; only what they stop at gets its step in the history. */
const Search = ({ q }: { readonly q: string }) => {
  const field = useRef<HTMLInputElement>(null)
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)
  const isTyping = useRef(false)
  useEffect(() => {
    // What is being typed is newer than the address.
    if (field.current !== null && document.activeElement !== field.current) field.current.value = q
  }, [q])
  const search = () => {
    clearTimeout(timer.current)
    const wanted = field.current?.value ?? ""
    if (wanted === address.peek().q) return
    filterBy({ q: wanted }, { replace: isTyping.current })
    isTyping.current = true
  }
  return (
    <span class="search">
      <Icon name="search" />
      <input
        id="search"
        ref={field}
        type="search"
        aria-label="Search in name and URL"
        placeholder="Search in name and URL"
        defaultValue={q}
        onInput={() => {
          clearTimeout(timer.current)
          timer.current = setTimeout(search, TYPING_MS)
        }}
        onBlur={() => {
          search()
          isTyping.current = false
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter") search()
        }}
      />
    </span>
  )
}

interface DueProps {
  readonly name: keyof Pick<Filter, "from" | "to">
  readonly label: string
  readonly at: string
}

const Due = ({ name, label, at }: DueProps) => (
  <label class="due">
    <span>{label}</span>
    <input
      type="datetime-local"
      value={at === "" ? "" : toLocalInput(Date.parse(at)).slice(0, 16)}
      onChange={(event) => {
        const { value } = event.currentTarget
        filterBy(name === "from" ? { from: fromLocalInput(value) } : { to: fromLocalInput(value) })
      }}
    />
  </label>
)
