import { visibleText } from "../lib/visible-text.ts"
import type { Detail } from "../lib/wire.ts"
import { Time } from "../parts/time.tsx"

/** Messages that hold the call up: people have to look. */
export const DeadLetters = ({ call: { problems } }: { readonly call: Detail }) =>
  problems.length === 0 ? null : (
    <section class="problem" role="alert">
      <div>
        <strong>This call is stuck</strong>
        {problems.map(({ consumer, seq, messageType, attempts, error, diedAt }) => (
          <p key={`${consumer}/${seq}`}>
            <code>
              {messageType} #{seq}
            </code>{" "}
            could not be handled by {consumer} in {attempts} tries, the last <Time at={diedAt} />: {visibleText(error)}
          </p>
        ))}
        <p class="quiet">Replay or discard it under /api/admin/dead-letters.</p>
      </div>
    </section>
  )
