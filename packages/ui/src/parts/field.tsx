import type { ComponentChildren } from "preact"

interface Props {
  /** The id of the control. */
  readonly for: string
  readonly label: string
  readonly hint?: ComponentChildren
  readonly problems?: ReadonlyArray<string>
  readonly class?: string
  readonly children: ComponentChildren
}

/** A control with its label, a hint, and what is wrong with it; see `describe` for the control's attributes. */
export const Field = ({ for: id, label, hint, problems = [], class: more = "", children }: Props) => (
  <div class={`field ${more}`}>
    <label for={id}>{label}</label>
    {children}
    {hint !== undefined && (
      <p class="hint" id={`${id}-hint`}>
        {hint}
      </p>
    )}
    <FieldProblems of={id} problems={problems} />
  </div>
)

export const FieldProblems = ({ of, problems }: { readonly of: string; readonly problems: ReadonlyArray<string> }) =>
  problems.length === 0 ? null : (
    <p class="field-problem" id={`${of}-problem`}>
      {problems.join(". ")}
    </p>
  )

/** Attributes that join a control with what is said of it. */
export const describe = (id: string, problems: ReadonlyArray<string>) =>
  problems.length === 0 ? { id } : { id, "aria-invalid": true, "aria-describedby": `${id}-problem` }
