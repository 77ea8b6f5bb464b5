import { Icon, type IconName } from "./icon.tsx"

interface Props {
  readonly icon: IconName
  readonly label: string
  readonly onClick: (event: MouseEvent) => void
  readonly isPressed?: boolean
  readonly isFilled?: boolean
  readonly isDisabled?: boolean
  readonly class?: string
}

export const IconButton = ({
  icon,
  label,
  onClick,
  isPressed,
  isFilled = false,
  isDisabled = false,
  class: more = ""
}: Props) => (
  <button
    type="button"
    class={`icon-button ${more}`}
    aria-label={label}
    aria-pressed={isPressed}
    title={label}
    disabled={isDisabled}
    onClick={onClick}
  >
    <Icon name={icon} isFilled={isFilled} />
  </button>
)
