import { useState } from "preact/hooks"
import type { Problem } from "../lib/problem.ts"
import { type Detail, STARRED } from "../lib/wire.ts"
import { describe, FieldProblems } from "../parts/field.tsx"
import { TagsInput } from "../parts/tags-input.tsx"
import { setTags } from "../state/change-call.ts"
import { mayChange } from "../state/key.ts"
import type { WatchedCall } from "../state/watched-call.ts"

/** The tags of a call, to change in any state. */
export const CallTags = ({ call, watched }: { readonly call: Detail; readonly watched: WatchedCall }) => {
  const [problem, setProblem] = useState<Problem>()
  const isStarred = call.tags.includes(STARRED)
  const change = async (tags: ReadonlyArray<string>) => {
    const wanted = isStarred ? [...tags, STARRED] : tags
    watched.detail.value = { ...call, tags: wanted }
    setProblem(await setTags(call, wanted))
    watched.refresh()
  }
  const problems =
    problem === undefined
      ? []
      : problem.errors
          .map(({ detail }) => detail)
          .concat(problem.detail || problem.title)
          .slice(0, 1)
  return (
    <section>
      <h3>
        <label for="call-tags">Tags</label>
      </h3>
      <fieldset class="field" disabled={!mayChange.value}>
        <TagsInput
          id="call-tags"
          tags={call.tags.filter((tag) => tag !== STARRED)}
          placeholder={mayChange.value ? "Add a tag" : "No tags"}
          onChange={(tags) => void change(tags)}
          attributes={describe("call-tags", problems)}
        />
      </fieldset>
      <FieldProblems of="call-tags" problems={problems} />
    </section>
  )
}
