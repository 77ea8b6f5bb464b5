import { Command } from "effect/cli"
import { backup } from "./commands/backup.ts"
import { call } from "./commands/call.ts"
import { cancel } from "./commands/cancel.ts"
import { completions } from "./commands/completions.ts"
import { deadLetters } from "./commands/dead-letters.ts"
import { doctor } from "./commands/doctor.ts"
import { keys } from "./commands/keys.ts"
import { list } from "./commands/list.ts"
import { republish } from "./commands/republish.ts"
import { resend } from "./commands/resend.ts"
import { show } from "./commands/show.ts"
import { tag } from "./commands/tag.ts"
import { watch } from "./commands/watch.ts"
import { why } from "./commands/why.ts"
import { GLOBAL_FLAGS } from "./settings.ts"

const commands = [
  call,
  list,
  show,
  why,
  watch,
  cancel,
  resend,
  tag,
  doctor,
  deadLetters,
  republish,
  keys,
  backup
] as const

export const root = Command.make("esa").pipe(
  Command.withDescription("Event Service Agent: HTTP calls, now or later, and the truth about what became of them"),
  Command.withSubcommands([...commands, completions((): Command.Command.Any => root)]),
  Command.withGlobalFlags(GLOBAL_FLAGS)
)
