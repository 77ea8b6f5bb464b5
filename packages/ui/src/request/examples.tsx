import { type Draft, headerRow } from "../lib/draft.ts"
import { facts } from "../state/facts.ts"
import { fillDraft } from "../state/request.ts"

const json = () => [headerRow("Content-Type", "application/json")]

const EXAMPLES: ReadonlyArray<readonly [label: string, make: (echoUrl: string) => Partial<Draft>]> = [
  ["Echo", (echoUrl) => echoExample(echoUrl)],
  ["503", (echoUrl) => ({ name: "a target that is down", method: "GET", url: `${echoUrl}/status/503`, headers: [] })],
  ["Slow, 2 s", (echoUrl) => ({ name: "a slow target", method: "GET", url: `${echoUrl}/slow/2000`, headers: [] })],
  [
    "In 10 s",
    (echoUrl) => ({
      ...echoExample(echoUrl),
      name: "hello, later",
      when: "later",
      dueAt: new Date(Date.now() + 10_000).toISOString()
    })
  ]
]

export const echoExample = (echoUrl: string): Partial<Draft> => ({
  name: "hello",
  method: "POST",
  url: `${echoUrl}/echo`,
  headers: json(),
  body: '{\n  "hello": "world"\n}',
  tags: ["example"]
})

/** Calls to the bundled target, for a first success without a network. */
export const Examples = () => {
  const { echoUrl } = facts.value
  if (echoUrl === null) return null
  return (
    <section class="examples" aria-label="Examples">
      <span class="quiet">Examples</span>
      {EXAMPLES.map(([label, make]) => (
        <button key={label} type="button" class="quiet-button" onClick={() => fillDraft(make(echoUrl))}>
          {label}
        </button>
      ))}
    </section>
  )
}
