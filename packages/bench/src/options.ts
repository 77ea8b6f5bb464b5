import { join } from "node:path"
import { parseArgs } from "node:util"
import { FULL, QUICK, type Sizes } from "./workload.ts"

export interface Options {
  readonly workloads: ReadonlyArray<string>
  readonly contenders: ReadonlyArray<string>
  readonly sizes: Sizes
  readonly rounds: number
  /** Where the JSON file goes. */
  readonly resultsPath: string
  /** The folder for the Markdown table and the plot; none leaves both out. */
  readonly docs: string | undefined
}

export const USAGE = `bun run bench [--only NAMES] [--quick] [--rounds N] [--results FILE] [--docs FOLDER]

  --only     comma list of workloads, contenders, or both; all if absent
  --quick    small sizes and one round: shows that everything works
  --rounds   how often each figure is measured, 3 if absent
  --results  the JSON file, packages/bench/results/<date>.json if absent
  --docs     also writes benchmarks.md and benchmarks.svg into this folder`

/** Throws with what is wrong for people to read. */
export const readOptions = (
  args: ReadonlyArray<string>,
  names: { readonly workloads: ReadonlyArray<string>; readonly contenders: ReadonlyArray<string> },
  now: Date
): Options => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string" },
      quick: { type: "boolean", default: false },
      rounds: { type: "string" },
      results: { type: "string" },
      docs: { type: "string" }
    }
  })
  const only = values.only?.split(",").map((name) => name.trim()) ?? []
  const unknown = only.filter((name) => !names.workloads.includes(name) && !names.contenders.includes(name))
  if (unknown.length > 0) {
    throw new Error(`unknown: ${unknown.join(", ")}. There are ${[...names.workloads, ...names.contenders].join(", ")}`)
  }
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error("--rounds expects a whole number from 1 on")
  const chosen = (all: ReadonlyArray<string>) =>
    all.some((name) => only.includes(name)) ? all.filter((name) => only.includes(name)) : all
  const date = now.toISOString().slice(0, 16).replace(":", "")
  return {
    workloads: chosen(names.workloads),
    contenders: chosen(names.contenders),
    sizes: values.quick ? QUICK : FULL,
    rounds,
    resultsPath: values.results ?? join(import.meta.dirname, `../results/${date}.json`),
    docs: values.docs
  }
}
