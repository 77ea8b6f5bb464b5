import { cpSync, mkdirSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** One line of a Dockerfile, continued lines joined. */
export interface Instruction {
  readonly name: string
  readonly text: string
}

export interface Stage {
  readonly image: string
  /** What `COPY --from` calls it; the last one needs no name. */
  readonly name: string | undefined
  readonly instructions: ReadonlyArray<Instruction>
}

/** The stages in their order. */
export const readStages = (dockerfile: string): ReadonlyArray<Stage> => {
  const stages: Array<{ image: string; name: string | undefined; instructions: Array<Instruction> }> = []
  for (const line of dockerfile.replaceAll(/\\\n\s*/g, "").split("\n")) {
    const [, name = "", text = ""] = /^([A-Z]+) (.*)$/.exec(line) ?? []
    const [, image = "", stage] = name === "FROM" ? (/^(\S+)(?: AS (\S+))?$/.exec(text) ?? []) : []
    if (name === "FROM") stages.push({ image, name: stage, instructions: [] })
    else if (name !== "") stages.at(-1)?.instructions.push({ name, text })
    else if (line.trim() !== "") throw new Error(`no instruction: ${line}`)
  }
  return stages
}

/** What follows the name in all instructions of that name. */
export const textsOf = (stage: Stage | undefined, name: string): ReadonlyArray<string> =>
  (stage?.instructions ?? []).filter((instruction) => instruction.name === name).map(({ text }) => text)

/** The variables that the stage sets. */
export const environmentOf = (stage: Stage | undefined): Readonly<Record<string, string>> =>
  Object.fromEntries(
    textsOf(stage, "ENV").flatMap((text) =>
      text.split(/\s+/).map((pair) => {
        const [key = "", ...value] = pair.split("=")
        return [key, value.join("=")]
      })
    )
  )

/** Whether .dockerignore keeps a file or folder out of the build. The last pattern that fits decides. */
export const isIgnored = (patterns: string, path: string): boolean => {
  const parts = path.split("/")
  const parents = parts.map((_, index) => parts.slice(0, index + 1).join("/"))
  return patterns
    .split("\n")
    .filter((line) => line.trim() !== "")
    .reduce((ignored, line) => {
      const glob = new Bun.Glob(line.replace(/^!/, ""))
      return parents.some((parent) => glob.match(parent)) ? !line.startsWith("!") : ignored
    }, false)
}

/** Copies what a build would see, and no dependencies: without a container engine, this is as near as it gets. */
export const copyContext = (root: string, patterns: string, to: string, folder = ""): void => {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`
    if (entry.name === "node_modules" || entry.name === ".git") continue
    if (entry.isDirectory()) copyContext(root, patterns, to, path)
    else if (!isIgnored(patterns, path)) {
      mkdirSync(join(to, folder), { recursive: true })
      cpSync(join(root, path), join(to, path))
    }
  }
}

export const readText = (...path: ReadonlyArray<string>): string => readFileSync(join(...path), "utf8")
