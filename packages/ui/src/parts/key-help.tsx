import { useEffect, useRef } from "preact/hooks"
import { isHelpOpen } from "../state/keyboard.ts"
import { IconButton } from "./icon-button.tsx"

const KEYS = [
  ["/", "Search"],
  ["n", "New request"],
  ["g s", "Status"],
  ["g r", "Request"],
  ["j  k", "Next, previous row"],
  ["Enter", "Open the row"],
  ["s", "Star the row"],
  ["Esc", "Close the panel, leave a field"],
  ["Ctrl Enter", "Send the request"],
  ["?", "These keys"]
] as const

/** The keys, in a dialog of the browser's own: it holds the focus and gives it back. */
export const KeyHelp = () => {
  const dialog = useRef<HTMLDialogElement>(null)
  const isOpen = isHelpOpen.value
  useEffect(() => {
    if (isOpen) dialog.current?.showModal()
    else dialog.current?.close()
  }, [isOpen])
  const close = () => {
    isHelpOpen.value = false
  }
  return (
    <dialog ref={dialog} class="keys" aria-labelledby="keys-title" onClose={close}>
      <header>
        <h2 id="keys-title">Keys</h2>
        <IconButton icon="close" label="Close" onClick={close} />
      </header>
      <dl>
        {KEYS.map(([key, does]) => (
          <div key={key}>
            <dt>{key.split(" ").map((part) => part !== "" && <kbd key={part}>{part}</kbd>)}</dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
    </dialog>
  )
}
