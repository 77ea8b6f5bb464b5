import { useState } from "preact/hooks"
import { type HeaderRow, headerRow, isSecretName } from "../lib/draft.ts"
import { describe, FieldProblems } from "../parts/field.tsx"
import { Icon } from "../parts/icon.tsx"
import { IconButton } from "../parts/icon-button.tsx"
import { change, draft, problemsAt } from "../state/request.ts"

const KNOWN_NAMES = [
  "Accept",
  "Authorization",
  "Content-Type",
  "Cookie",
  "If-Match",
  "Prefer",
  "User-Agent",
  "X-Api-Key"
]

const changeRow = (id: number, part: Partial<HeaderRow>) =>
  change({ headers: draft.value.headers.map((row) => (row.id === id ? { ...row, ...part } : row)) })

const removeRow = (id: number) => {
  change({ headers: draft.value.headers.filter((row) => row.id !== id) })
  requestAnimationFrame(() => document.getElementById("add-header")?.focus())
}

const addRow = () => {
  const row = headerRow()
  change({ headers: [...draft.value.headers, row] })
  requestAnimationFrame(() => document.getElementById(`header-${row.id}`)?.focus())
}

export const HeaderRows = () => (
  <fieldset class="field headers">
    <legend>Headers</legend>
    {draft.value.headers.map((row) => (
      <Row key={row.id} row={row} />
    ))}
    <FieldProblems of="headers" problems={problemsAt("headers", "")} />
    <button type="button" id="add-header" class="quiet-button" onClick={addRow}>
      <Icon name="add" /> Add header
    </button>
    <datalist id="header-names">
      {KNOWN_NAMES.map((name) => (
        <option key={name} value={name} />
      ))}
    </datalist>
  </fieldset>
)

const Row = ({ row: { id, name, value, isRequired } }: { readonly row: HeaderRow }) => {
  const [isShown, setShown] = useState(false)
  const isSecret = isSecretName(name)
  const problems = problemsAt("headers", name.trim())
  return (
    <div class="header-row">
      <input
        id={`header-${id}`}
        type="text"
        aria-label="Header name"
        list="header-names"
        placeholder="Name"
        spellcheck={false}
        value={name}
        onInput={(event) => changeRow(id, { name: event.currentTarget.value })}
      />
      <span class="header-value">
        <input
          {...describe(`value-${id}`, problems)}
          type={isSecret && !isShown ? "password" : "text"}
          autocomplete="off"
          aria-label={`Value of ${name === "" ? "the header" : name}`}
          placeholder={isRequired ? "Not kept: enter it again" : "Value"}
          spellcheck={false}
          value={value}
          onInput={(event) => changeRow(id, { value: event.currentTarget.value })}
        />
        {isSecret && (
          <IconButton
            icon={isShown ? "hide" : "show"}
            label={isShown ? "Hide the value" : "Show the value"}
            isPressed={isShown}
            onClick={() => setShown(!isShown)}
          />
        )}
      </span>
      <IconButton icon="close" label={`Remove the header ${name}`} onClick={() => removeRow(id)} />
      <FieldProblems of={`value-${id}`} problems={problems} />
    </div>
  )
}
