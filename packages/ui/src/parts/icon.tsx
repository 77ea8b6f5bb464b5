const PATHS = {
  add: "M8 3.5v9M3.5 8h9",
  check: "m3.5 8.5 3 3 6-7",
  clock: "M8 4.5V8l2.2 1.6M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12Z",
  close: "m4 4 8 8m0-8-8 8",
  copy: "M5.5 5.5v-3h8v8h-3m-8-5h8v8h-8z",
  dark: "M13.2 9.6A5.6 5.6 0 0 1 6.4 2.8a5.6 5.6 0 1 0 6.8 6.8Z",
  down: "m4 6 4 4 4-4",
  export: "M8 2.5v7m0 0L5 6.7m3 2.8 3-2.8M2.5 11v2.5h11V11",
  hide: "M2 2l12 12M6.5 3.8A7 7 0 0 1 8 3.6c4 0 6.3 4.4 6.3 4.4a11 11 0 0 1-1.8 2.3M4.2 4.9A10 10 0 0 0 1.7 8S4 12.4 8 12.4a6.6 6.6 0 0 0 2.7-.6",
  left: "m9.5 4-4 4 4 4",
  light:
    "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6Zm0-9.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M3.4 12.6l.7-.7M11.9 4.1l.7-.7",
  repeat: "M3 7.5A5 5 0 0 1 12.3 5.5M13 2.5v3.2H9.8M13 8.5A5 5 0 0 1 3.7 10.5M3 13.5v-3.2h3.2",
  right: "m6.5 4 4 4-4 4",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9Zm3.3-1.2L14 14",
  show: "M1.7 8S4 3.6 8 3.6 14.3 8 14.3 8 12 12.4 8 12.4 1.7 8 1.7 8ZM8 9.8a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6Z",
  star: "m8 2 1.8 3.9 4.2.5-3.1 2.9.8 4.2L8 11.4l-3.7 2.1.8-4.2L2 6.4l4.2-.5z",
  warn: "M8 2.5 14.5 13.5h-13zM8 6.5v3M8 11.4v.1"
} as const

export type IconName = keyof typeof PATHS

interface Props {
  readonly name: IconName
  readonly isFilled?: boolean
}

/** A picture beside a text or a label: says nothing by itself. */
export const Icon = ({ name, isFilled = false }: Props) => (
  <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
    <path d={PATHS[name]} fill={isFilled ? "currentColor" : "none"} />
  </svg>
)
