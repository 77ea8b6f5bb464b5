import { formatSpan } from "@event-service-agent/schemas/format-span"
import { formatAddress } from "../lib/address.ts"
import { shortId } from "../lib/short-id.ts"
import { visibleLine } from "../lib/visible-text.ts"
import { STARRED, type Summary } from "../lib/wire.ts"
import { Copyable } from "../parts/copyable.tsx"
import { IconButton } from "../parts/icon-button.tsx"
import { StatusPill } from "../parts/status-pill.tsx"
import { Time } from "../parts/time.tsx"
import { toggleStar } from "../state/change-call.ts"
import { mayChange } from "../state/key.ts"
import { address, filterBy, openCall } from "../state/route.ts"

const TAGS_SHOWN = 3

export const CallRow = ({ call }: { readonly call: Summary }) => {
  const { serviceCallId: id, name, request, tags, status, failure, latenessMs } = call
  const isStarred = tags.includes(STARRED)
  const isOpen = address.value.call === id
  const shown = tags.filter((tag) => tag !== STARRED)
  const isLater = Date.parse(call.dueAt) - Date.parse(call.acceptedAt) > 1_000
  const open = () => openCall(id, { replace: address.peek().call !== "" })
  return (
    // The name in it is a link that keys reach
    <tr data-row={id} data-open={isOpen} onClick={open}>
      <td class="c-star">
        <IconButton
          icon="star"
          class="star"
          label={isStarred ? `Take the star from ${visibleLine(name)}` : `Star ${visibleLine(name)}`}
          isPressed={isStarred}
          isDisabled={!mayChange.value}
          isFilled={isStarred}
          onClick={(event) => {
            event.stopPropagation()
            void toggleStar(call)
          }}
        />
      </td>
      <td class="c-name">
        <a
          data-open
          class="name"
          href={formatAddress({ ...address.value, call: id })}
          aria-current={isOpen ? "true" : undefined}
          onClick={(event) => {
            event.stopPropagation()
            if (event.metaKey || event.ctrlKey || event.shiftKey) return
            event.preventDefault()
            open()
          }}
        >
          {visibleLine(name)}
        </a>
        <span class="target">
          <span class="method">{request.method}</span> {hostOf(request.url)}
          {shown.slice(0, TAGS_SHOWN).map((tag) => (
            <button
              type="button"
              class="chip"
              key={tag}
              title={`Only calls with the tag ${visibleLine(tag)}`}
              onClick={(event) => {
                event.stopPropagation()
                filterBy({ tags: [...new Set([...address.peek().tags, tag])] })
              }}
            >
              {visibleLine(tag)}
            </button>
          ))}
          {shown.length > TAGS_SHOWN && <span class="quiet">+{shown.length - TAGS_SHOWN}</span>}
        </span>
      </td>
      <td class="c-status">
        <StatusPill status={status} />
        {failure !== null && <span class="why">{failure.kind}</span>}
      </td>
      <td class="c-due" data-label="Due">
        {isLater ? <Time at={call.dueAt} /> : <span class="quiet">at once</span>}
      </td>
      <td class="c-submitted" data-label="Submitted">
        <Time at={call.acceptedAt} />
      </td>
      <td class="c-late number" data-label="Late">
        {latenessMs === null ? <span class="quiet none">–</span> : formatSpan(latenessMs)}
      </td>
      <td class="c-id">
        <Copyable text={id} shown={shortId(id)} what="Id" />
      </td>
    </tr>
  )
}

const hostOf = (url: string): string => visibleLine(URL.parse(url)?.host ?? url)
