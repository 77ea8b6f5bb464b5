import type { ComponentChildren } from "preact"
import { type Address, formatAddress } from "../lib/address.ts"
import { address, go } from "../state/route.ts"

interface Props {
  readonly to: Partial<Address>
  readonly class?: string
  readonly label?: string
  readonly isCurrent?: boolean
  readonly children: ComponentChildren
}

/** A link within the page: can be opened in another tab, and does not load the page again. */
export const Link = ({ to, label, isCurrent, children, ...rest }: Props) => (
  <a
    {...rest}
    href={formatAddress({ ...address.value, ...to })}
    aria-label={label}
    aria-current={isCurrent === true ? "page" : undefined}
    onClick={(event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return
      event.preventDefault()
      go(to)
    }}
  >
    {children}
  </a>
)
