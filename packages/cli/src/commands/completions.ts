import { Effect } from "effect"
import { Argument, Command, Completions } from "effect/cli"
import { print } from "../output.ts"

/** @param root all commands, known only once this one is among them */
export const completions = (root: () => Command.Command.Any) =>
  Command.make(
    "completions",
    {
      shell: Argument.Literals("shell", ["bash", "zsh", "fish"]).pipe(Argument.withDescription("Which shell"))
    },
    ({ shell }) =>
      Effect.suspend(() => {
        const script = Completions.generate("esa", shell, Completions.fromCommand(root()))
        // Its first lines say how to make it, by the flag that this command stands for.
        return print(script.replaceAll("esa --completions", "esa completions"))
      })
  ).pipe(
    Command.withDescription("Print a script that completes commands and flags"),
    Command.withExamples([
      { command: "esa completions bash > ~/.local/share/bash-completion/completions/esa", description: "For bash" },
      { command: "esa completions zsh > ~/.zfunc/_esa", description: "For zsh, with ~/.zfunc in fpath" },
      { command: "esa completions fish > ~/.config/fish/completions/esa.fish", description: "For fish" }
    ])
  )
