import { Effect } from "effect"
import { Argument, Command, Completions } from "effect/cli"
import { STATUSES } from "../flags.ts"
import { print } from "../output.ts"
import { BUILT_IN_FLAGS, GLOBAL_FLAGS } from "../settings.ts"
import { SCOPES } from "./keys.ts"

/** What to offer for flags that take more spellings than these, so that the parser has them as text. */
const CHOICES: ReadonlyMap<string, ReadonlyArray<string>> = new Map<string, ReadonlyArray<string>>([
  ["status", STATUSES.map((status) => status.toLowerCase())],
  ["scope", SCOPES]
])

/** @param root all commands, known only once this one is among them */
export const completions = (root: () => Command.Command.Any) =>
  Command.make(
    "completions",
    {
      shell: Argument.Literals("shell", ["bash", "zsh", "fish"]).pipe(Argument.withDescription("Which shell"))
    },
    ({ shell }) =>
      Effect.suspend(() => {
        const script = Completions.generate("esa", shell, complete(Completions.fromCommand(root())))
        // Its first lines say how to make it, by the flag that this command stands for.
        return print(script.replaceAll("esa --completions", "esa completions"))
      })
  ).pipe(
    Command.withDescription("Print a script that completes commands, flags and choices"),
    Command.withExamples([
      { command: "esa completions bash > ~/.local/share/bash-completion/completions/esa", description: "For bash" },
      { command: "esa completions zsh > ~/.zfunc/_esa", description: "For zsh, with ~/.zfunc in fpath" },
      { command: "esa completions fish > ~/.config/fish/completions/esa.fish", description: "For fish" }
    ])
  )

/** Adds what Effect leaves out of the description of a command: the flags that every command has, and our choices. */
const complete = (command: Completions.CommandDescriptor): Completions.CommandDescriptor => ({
  ...command,
  flags: [...command.flags.map(withChoices), ...globalFlags],
  subcommands: command.subcommands.map(complete)
})

const withChoices = (flag: Completions.FlagDescriptor): Completions.FlagDescriptor => {
  const values = CHOICES.get(flag.name)
  return values === undefined ? flag : { ...flag, type: { _tag: "Choice", values } }
}

/** Described by way of a command that has them as its own; nobody needs to be offered `--no-help`. */
const globalFlags = Completions.fromCommand(
  Command.make("esa", { flags: [...GLOBAL_FLAGS, ...BUILT_IN_FLAGS].map(({ flag }) => flag) })
).flags.map((flag) => ({ ...flag, negation: false }) as const)
