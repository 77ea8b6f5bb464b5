/** Flags that take a value which stands apart, so that the value is not taken for the command. */
const GLOBAL_WITH_VALUE = new Set(["--url", "--tenant", "--key"])
/** What turns off a flag that takes no other value. */
const NO = new Set(["false", "no", "off", "0", "n"])

/**
 * Writes what people type as the parser reads it: `--wait 5` as `--wait=5`, since the seconds may be left out, and for
 * `tag` `-old` as `--remove=old`.
 */
export const respell = (args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const command = commandOf(args)
  const end = args.indexOf("--")
  const result: Array<string> = []
  for (let index = 0; index < args.length; index++) {
    const argument = args[index] ?? ""
    const following = args[index + 1] ?? ""
    const isBeforeEnd = end < 0 || index < end
    if (isBeforeEnd && argument === "--wait" && /^\d+$/.test(following)) {
      result.push(`--wait=${following}`)
      index++
    } else if (isBeforeEnd && command === "tag" && /^-[^-]/.test(argument) && argument !== "-h") {
      result.push(`--remove=${argument.slice(1)}`)
    } else {
      result.push(argument)
    }
  }
  return result
}

/**
 * Whether a failure is to be told as JSON, also one of arguments that cannot be parsed. The parser takes no word that
 * begins with a hyphen for the value of the flag before it, so that this one is a flag wherever it stands before `--`.
 */
export const asksForJson = (args: ReadonlyArray<string>): boolean => {
  const end = args.indexOf("--")
  const flags = end < 0 ? args : args.slice(0, end)
  return flags.some((flag, index) => {
    if (flag === "--json") return !NO.has(flags[index + 1] ?? "")
    return flag.startsWith("--json=") && !NO.has(flag.slice("--json=".length))
  })
}

const commandOf = (args: ReadonlyArray<string>): string | undefined => {
  for (let index = 0; index < args.length; index++) {
    const argument = args[index] ?? ""
    if (GLOBAL_WITH_VALUE.has(argument)) index++
    else if (!argument.startsWith("-")) return argument
  }
  return undefined
}
