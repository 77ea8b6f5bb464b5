import { Cause, Effect, FileSystem, Layer, Path, Stdio, Terminal } from "effect"
import { CliConfig, CliError, CliOutput, Command } from "effect/cli"
import { ChildProcessSpawner } from "effect/process"
import manifest from "../package.json" with { type: "json" }
import { asksForJson, respell } from "./arguments.ts"
import { CommandFailed, EXIT } from "./failure.ts"
import { note, paintNote, print, visible } from "./output.ts"
import { BUILT_IN_FLAGS } from "./settings.ts"

/** Runs the command that the arguments name. What fails is said on stderr before this fails with it. */
export const run = <Name extends string, Input, E, Context>(
  root: Command.Command<Name, Input, Context, E, never>,
  args: ReadonlyArray<string>
) => {
  const isJson = asksForJson(args)
  return Command.runWith(root, { version: manifest.version })(respell(args)).pipe(
    Effect.tapCause((cause) => explain(cause, isJson)),
    Effect.provide(Layer.merge(Platform, CliOutput.layerPresenter(presenter(isJson))))
  )
}

/** The exit code of a program that ended with this. */
export const endOf = (cause: Cause.Cause<unknown>): number => {
  const failure = Cause.squash(cause)
  if (failure instanceof CommandFailed) return failure.exitCode
  return CliError.isCliError(failure) ? EXIT.usage : EXIT.failed
}

const explain = (cause: Cause.Cause<unknown>, isJson: boolean): Effect.Effect<void> => {
  const failure = Cause.squash(cause)
  // The presenter has said it.
  if (CliError.isCliError(failure)) return Effect.void
  // Anything else is a bug, and shows where it is.
  if (!(failure instanceof CommandFailed)) return note(Cause.pretty(cause))
  if (isJson) return noteDocument(failure)
  const { message, details = [], next } = failure
  return note(
    [
      `${paintNote("red", "error")}: ${message}`,
      ...details.map((line) => `  ${line}`),
      ...(next === undefined ? [] : [paintNote("dim", `→ ${next}`)])
    ].join("\n")
  )
}

/** A failure as programs read it. */
const noteDocument = ({
  exitCode,
  message,
  details = [],
  problem
}: Pick<CommandFailed, "exitCode" | "message" | "details" | "problem">): Effect.Effect<void> =>
  note(JSON.stringify({ exitCode, message, details, ...(problem === undefined ? {} : { problem }) }))

/** Help is data when it was asked for; what is wrong is said in two lines instead of a page. */
const presenter = (isJson: boolean): CliOutput.Presenter => ({
  present: (event) => {
    switch (event._tag) {
      case "Version":
        return print(`${event.name} ${event.version}`)
      case "Help": {
        if (isJson && event.reason === "Implicit") return noteDocument(withoutCommand(event))
        const text = CliOutput.defaultFormatter({ colors: false }).formatHelpDoc(event.helpDoc)
        return event.reason === "Requested" ? print(text) : note(text)
      }
      case "InvalidInvocation":
        if (isJson) return noteDocument(invalid(event.errors))
        return note(
          [
            ...event.errors.map((error) => `${paintNote("red", "error")}: ${visible(error.message, true)}`),
            paintNote("dim", `→ ${event.commandPath.join(" ")} --help`)
          ].join("\n")
        )
    }
  }
})

/** The first line says what is wrong; what it suggests, and what else is wrong, follows. */
const invalid = (errors: ReadonlyArray<CliError.NonShowHelpErrors>) => {
  const lines = errors.flatMap((error) => visible(error.message, true).split("\n"))
  const [message = "wrong use", ...details] = lines.map((line) => line.trim()).filter((line) => line !== "")
  return { exitCode: EXIT.usage, message, details }
}

const withoutCommand = ({ commandPath, helpDoc }: CliOutput.Presenter.Help) => {
  const names = (helpDoc.subcommands ?? []).flatMap(({ commands }) => commands.map(({ name }) => name))
  return { exitCode: EXIT.usage, message: `${commandPath.join(" ")} needs a command`, details: [names.join(", ")] }
}

const unused = Effect.die(new Error("the command line uses none of this"))

const Platform = Layer.mergeAll(
  CliConfig.layer({ builtIns: BUILT_IN_FLAGS }),
  FileSystem.layerNoop({}),
  Path.layer,
  Stdio.layerTest({}),
  Layer.succeed(
    Terminal.Terminal,
    Terminal.make({
      columns: unused,
      rows: unused,
      size: unused,
      readInput: unused,
      readLine: unused,
      display: () => Effect.void
    })
  ),
  Layer.succeed(
    ChildProcessSpawner.ChildProcessSpawner,
    ChildProcessSpawner.make(() => unused)
  )
)
