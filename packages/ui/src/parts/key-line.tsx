import { useRef, useState } from "preact/hooks"
import { ALL_TENANTS } from "../lib/address.ts"
import { ask } from "../state/api.ts"
import { needsKey, takeKey, type Whoami } from "../state/key.ts"
import { chooseTenant, tenant } from "../state/route.ts"

/** Asks for a key where the service does. */
export const KeyLine = () => {
  const field = useRef<HTMLInputElement>(null)
  const [problem, setProblem] = useState("")
  if (!needsKey.value) return null
  const use = async () => {
    const key = field.current?.value.trim() ?? ""
    const answer = await ask<Whoami>("/api/whoami", { headers: { authorization: `Bearer ${key}` } })
    if (!answer.ok) return setProblem(answer.problem.status === 401 ? "This key is not live." : answer.problem.title)
    needsKey.value = false
    takeKey(key, answer.value)
    const { tenantId } = answer.value
    if (tenantId !== ALL_TENANTS && tenantId !== tenant.peek()) chooseTenant(tenantId)
  }
  return (
    <form
      class="key-ask"
      onSubmit={(event) => {
        event.preventDefault()
        void use()
      }}
    >
      <label for="api-key">This service asks for an API key</label>
      <input
        id="api-key"
        ref={field}
        type="password"
        autocomplete="off"
        placeholder="esa_…"
        aria-describedby="api-key-hint"
        aria-invalid={problem !== "" || undefined}
      />
      <button type="submit" class="primary">
        Use key
      </button>
      <span id="api-key-hint" role="status" class={problem === "" ? "hint" : "field-problem"}>
        {problem === "" ? "Kept until this tab is closed." : problem}
      </span>
    </form>
  )
}
