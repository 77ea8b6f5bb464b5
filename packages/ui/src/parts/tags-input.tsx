import { useRef } from "preact/hooks"
import { visibleLine } from "../lib/visible-text.ts"
import { STARRED } from "../lib/wire.ts"
import { stats } from "../state/stats.ts"
import { Icon } from "./icon.tsx"

interface Props {
  readonly id: string
  readonly tags: ReadonlyArray<string>
  readonly placeholder: string
  readonly onChange: (tags: ReadonlyArray<string>) => void
  readonly attributes?: object
}

/** Tags as chips; Enter or a comma adds what is typed, Backspace in an empty field takes the last one away. */
export const TagsInput = ({ id, tags, placeholder, onChange, attributes = {} }: Props) => {
  const field = useRef<HTMLInputElement>(null)
  const add = (text: string) => {
    const wanted = text.split(",").map((tag) => tag.trim())
    const next = [...new Set([...tags, ...wanted])].filter((tag) => tag !== "")
    if (field.current !== null) field.current.value = ""
    if (next.length !== tags.length) onChange(next)
  }
  const known = stats.value?.tags.filter(({ tag }) => tag !== STARRED && !tags.includes(tag)) ?? []
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions lint/a11y/useKeyWithClickEvents: only makes the target larger
    <div class="tags-input" onClick={() => field.current?.focus()}>
      {tags.map((tag) => (
        <span class="chip" key={tag}>
          <span class="chip-text">{visibleLine(tag)}</span>
          <button
            type="button"
            aria-label={`Remove the tag ${tag}`}
            onClick={(event) => {
              event.stopPropagation()
              onChange(tags.filter((other) => other !== tag))
              field.current?.focus()
            }}
          >
            <Icon name="close" />
          </button>
        </span>
      ))}
      <input
        id={id}
        ref={field}
        list={`${id}-known`}
        placeholder={tags.length === 0 ? placeholder : ""}
        autocomplete="off"
        {...attributes}
        onKeyDown={(event) => {
          const { value } = event.currentTarget
          if (event.key === "Enter" || event.key === ",") {
            if (event.ctrlKey || event.metaKey) return
            event.preventDefault()
            add(value)
          } else if (event.key === "Backspace" && value === "" && tags.length > 0) onChange(tags.slice(0, -1))
        }}
        onChange={(event) => add(event.currentTarget.value)}
      />
      <datalist id={`${id}-known`}>
        {known.map(({ tag }) => (
          <option key={tag} value={tag} />
        ))}
      </datalist>
    </div>
  )
}
