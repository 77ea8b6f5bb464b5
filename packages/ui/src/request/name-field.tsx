import { defaultName } from "../lib/draft.ts"
import { describe, Field } from "../parts/field.tsx"
import { TagsInput } from "../parts/tags-input.tsx"
import { change, draft, problemsAt } from "../state/request.ts"

/** How the call is found again: its name and tags. */
export const NameField = () => (
  <div class="pair">
    <Field for="name" label="Name" problems={problemsAt("name")}>
      <input
        {...describe("name", problemsAt("name"))}
        type="text"
        placeholder={defaultName(draft.value) || "nightly report"}
        value={draft.value.name}
        onInput={(event) => change({ name: event.currentTarget.value })}
      />
    </Field>
    <Field for="tags" label="Tags" problems={problemsAt("tags")}>
      <TagsInput
        id="tags"
        tags={draft.value.tags}
        placeholder="billing, eu"
        onChange={(tags) => change({ tags })}
        attributes={describe("tags", problemsAt("tags"))}
      />
    </Field>
  </div>
)
