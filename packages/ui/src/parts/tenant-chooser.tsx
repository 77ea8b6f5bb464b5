import { useRef } from "preact/hooks"
import { TENANT } from "../lib/address.ts"
import { recall, remember } from "../state/memory.ts"
import { say } from "../state/notices.ts"
import { chooseTenant, tenant } from "../state/route.ts"

const RECENT_KEY = "tenants"
const RECENT_MAX = 12

const recent = (): ReadonlyArray<string> =>
  (recall("local", RECENT_KEY) ?? "").split(" ").filter((name) => TENANT.test(name))

/** Whose calls the page shows. Any name will do: a tenant begins with its first call. */
export const TenantChooser = () => {
  const field = useRef<HTMLInputElement>(null)
  const choose = () => {
    const wanted = field.current?.value.trim() ?? ""
    if (wanted === tenant.value) return
    if (TENANT.test(wanted)) {
      const names = [wanted, tenant.value, ...recent()]
      remember("local", RECENT_KEY, [...new Set(names)].slice(0, RECENT_MAX).join(" "))
      chooseTenant(wanted)
    } else {
      say("A tenant is 1 to 64 letters, digits, - or _", "bad")
      if (field.current !== null) field.current.value = tenant.value
    }
  }
  return (
    <form
      class="tenant"
      onSubmit={(event) => {
        event.preventDefault()
        choose()
        field.current?.blur()
      }}
    >
      <label for="tenant">Tenant</label>
      <input
        id="tenant"
        ref={field}
        list="tenants"
        value={tenant.value}
        maxLength={64}
        autocomplete="off"
        spellcheck={false}
        onFocus={(event) => event.currentTarget.select()}
        onChange={choose}
      />
      <datalist id="tenants">
        {recent().map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </form>
  )
}
