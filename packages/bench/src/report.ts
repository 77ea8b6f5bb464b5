import { type Goal, goalsOf } from "./goals.ts"
import type { Figure, Results, WorkloadResult } from "./results.ts"
import type { FigureKind } from "./workload.ts"

/** Above this, something else was running, too. */
const LOAD_MAX = 0.7

/** The results as Markdown: how it was measured, the goals, a table for each workload. */
export const toMarkdown = (results: Results): string => {
  const { startedAt, endedAt, command, rounds, machine, load, contenders, workloads } = results
  const minutes = Math.round((Date.parse(endedAt) - Date.parse(startedAt)) / 60_000)
  return [
    `\`${command}\` on ${startedAt.slice(0, 10)}, ${minutes} minutes: ${machine}, load ${load[0]} before. Median of ${rounds} interleaved rounds; in brackets the median of the proportions to the reference in the same round.`,
    ...(load[0] > LOAD_MAX
      ? ["**The machine had other work to do: read the proportions only, and those with care.**"]
      : []),
    table(
      ["contender", "version and settings"],
      contenders.map(({ name, settings, missing }) => [name, missing === null ? settings : `missing: ${missing}`])
    ),
    ...goalsSection(goalsOf(results)),
    ...workloads.map(workloadSection)
  ].join("\n\n")
}

const goalsSection = (goals: ReadonlyArray<Goal>): ReadonlyArray<string> =>
  goals.length === 0
    ? []
    : [
        "### Goals",
        table(
          ["goal", "measured", "reached"],
          goals.map(({ goal, measured, isReached }) => [goal, measured, isReached ? "yes" : "**no**"])
        )
      ]

const workloadSection = ({ name, description, reference, kinds, subjects }: WorkloadResult): string =>
  [
    `### ${name}`,
    `${description}. Reference: ${reference}.`,
    table(
      ["", ...kinds.map(({ title, unit }) => `${title} (${unit})`)],
      subjects.map((subject) => [subject.name, ...kinds.map((kind) => cell(kind, subject.figures[kind.key]))]),
      NUMBERS
    ),
    ...subjects.flatMap((subject) => subject.problems.map((problem) => `- ${subject.name}: ${oneLine(problem)}`))
  ].join("\n\n")

const cell = ({ unit }: FigureKind, figure: Figure | undefined): string => {
  if (figure === undefined) return "–"
  const digits = unit === "calls/s" || unit === "bytes" || figure.median >= 100 ? 0 : figure.median >= 10 ? 1 : 2
  const value = figure.median.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })
  if (figure.ratio === undefined) return value
  return `${value} (${figure.ratio >= 100 ? Math.round(figure.ratio) : figure.ratio.toPrecision(2)} ×)`
}

/** Aligned to the right. */
const NUMBERS = "---:"

const PROBLEM_CHARACTERS_MAX = 300

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ").slice(0, PROBLEM_CHARACTERS_MAX)

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>, align = "---"): string =>
  [head, head.map((_, index) => (index === 0 ? "---" : align)), ...rows]
    .map((row) => `| ${row.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`)
    .join("\n")
