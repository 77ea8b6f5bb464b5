import { useEffect, useRef, useState } from "preact/hooks"
import { isJsonBody } from "../lib/draft.ts"
import { describe, FieldProblems } from "../parts/field.tsx"
import { say } from "../state/notices.ts"
import { change, draft, problemsAt } from "../state/request.ts"
import type { CodeEditor } from "./code-editor.ts"

const format = () => {
  try {
    change({ body: JSON.stringify(JSON.parse(draft.peek().body), null, 2) })
  } catch (error) {
    say(`This is not JSON: ${error instanceof Error ? error.message : error}`, "bad")
  }
}

/** The body; for JSON in an editor that says what is wrong with it. Without the editor, a plain field does. */
export const BodyField = () => {
  const { method, body } = draft.value
  const isJson = isJsonBody(draft.value)
  const [isEditorThere, setEditorThere] = useState(false)
  const problems = problemsAt("body")
  const isBodiless = (method === "GET" || method === "HEAD") && body === "" && problems.length === 0
  if (isBodiless) return <p class="hint bodiless">{method} sends no body.</p>
  const isEditor = isJson && isEditorThere
  return (
    <div class="field body-field">
      <div class="field-head">
        <label for="body">Body</label>
        {isJson && (
          <button type="button" class="quiet-button" onClick={format} disabled={body.trim() === ""}>
            Format
          </button>
        )}
      </div>
      {!isEditor && (
        <textarea
          {...describe("body", problems)}
          class="code"
          rows={8}
          spellcheck={false}
          value={body}
          onInput={(event) => change({ body: event.currentTarget.value })}
        />
      )}
      {isJson && <JsonEditor onThere={() => setEditorThere(true)} isWrong={problems.length > 0} />}
      <FieldProblems of="body" problems={problems} />
    </div>
  )
}

const JsonEditor = ({ onThere, isWrong }: { readonly onThere: () => void; readonly isWrong: boolean }) => {
  const place = useRef<HTMLDivElement>(null)
  const editor = useRef<CodeEditor | undefined>(undefined)
  const { body } = draft.value
  // Made once, for as long as it is in view
  useEffect(() => {
    let isGone = false
    const make = async () => {
      try {
        const { makeEditor } = await import("./code-editor.ts")
        if (isGone || place.current === null) return
        editor.current = makeEditor(place.current, draft.peek().body, (text) => change({ body: text }))
        onThere()
      } catch {
        // The plain field stays.
      }
    }
    void make()
    return () => {
      isGone = true
      editor.current?.destroy()
    }
  }, [])
  useEffect(() => editor.current?.setText(body), [body])
  return <div ref={place} class="editor" data-wrong={isWrong} />
}
