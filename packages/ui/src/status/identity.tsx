import type { ComponentChildren } from "preact"
import type { Detail } from "../lib/wire.ts"
import { Copyable } from "../parts/copyable.tsx"
import { Link } from "../parts/link.tsx"

export const Identity = ({ call }: { readonly call: Detail }) => (
  <section>
    <h3>Identity</h3>
    <dl class="facts">
      <Fact name="Tenant">{call.tenantId}</Fact>
      <Fact name="Correlation id">
        <Copyable text={call.correlationId} what="Correlation id" />
      </Fact>
      <Fact name="Attempt">{call.attempt === null ? "none yet" : call.attempt.number}</Fact>
      {call.clonedFrom !== null && (
        <Fact name="Repeats">
          <Link to={{ call: call.clonedFrom }}>{call.clonedFrom}</Link>
        </Fact>
      )}
    </dl>
  </section>
)

const Fact = ({ name, children }: { readonly name: string; readonly children: ComponentChildren }) => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
)
