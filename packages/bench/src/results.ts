import { cpus, loadavg, totalmem } from "node:os"
import type { Contender } from "./contender.ts"
import { median, rounded } from "./statistics.ts"
import type { FigureKind, Measured, Sizes, Subject, Workload } from "./workload.ts"

/** One figure of one subject. */
export interface Figure {
  /** Of the rounds in which it could be measured. */
  readonly median: number
  readonly rounds: ReadonlyArray<number>
  /** Median of the proportions to the reference in the same round; absent where the reference has no such figure. */
  readonly ratio?: number
}

export interface SubjectResult {
  readonly name: string
  readonly figures: Readonly<Record<string, Figure>>
  /** Why there are no figures, or fewer, or what is strange about them. */
  readonly problems: ReadonlyArray<string>
}

export interface WorkloadResult {
  readonly name: string
  readonly description: string
  readonly reference: string
  readonly kinds: ReadonlyArray<FigureKind>
  readonly subjects: ReadonlyArray<SubjectResult>
}

/** Everything about a run, as it is written to the JSON file. */
export interface Results {
  readonly startedAt: string
  readonly endedAt: string
  readonly command: string
  readonly rounds: number
  readonly sizes: Sizes
  readonly machine: string
  /** Of the last minute, before and after: other work beside the run makes the figures worse and the ratios vague. */
  readonly load: readonly [before: number, after: number]
  readonly contenders: ReadonlyArray<Pick<Contender, "name" | "settings"> & { readonly missing: string | null }>
  readonly workloads: ReadonlyArray<WorkloadResult>
}

export const machine = (): string => {
  const [cpu] = cpus()
  const memory = Math.round(totalmem() / 2 ** 30)
  return `Bun ${Bun.version}, ${cpus().length} × ${cpu?.model.trim()}, ${memory} GiB, ${process.platform} ${process.arch}`
}

export const loadNow = (): number => rounded(loadavg()[0] ?? 0)

/** What is known of a subject while its workload runs. */
interface Run {
  readonly subject: Subject
  /** By round; empty where it failed. */
  readonly rounds: Array<Measured["values"]>
  readonly problems: Set<string>
}

/** Measures a workload: in each round every subject once, each round in another order. One that fails has no figures. */
export const runWorkload = async (
  workload: Workload,
  contenders: ReadonlyArray<Contender>,
  sizes: Sizes,
  rounds: number,
  log: (line: string) => void
): Promise<WorkloadResult> => {
  const runs = workload
    .subjects(contenders, sizes)
    .map((subject): Run => ({ subject, rounds: [], problems: new Set() }))
  try {
    for (const run of runs) {
      if (run.subject.prepare !== undefined) log(`${workload.name}: preparing ${run.subject.name}`)
      await run.subject.prepare?.().catch((error: unknown) => run.problems.add(messageOf(error)))
    }
    const ready = runs.filter(({ problems }) => problems.size === 0)
    for (let round = 0; round < rounds; round++) {
      const first = round % Math.max(ready.length, 1)
      for (const run of [...ready.slice(first), ...ready.slice(0, first)]) {
        const { values, problems } = await run.subject.measure().catch(failed)
        run.rounds[round] = values
        for (const problem of problems) run.problems.add(problem)
        const figures = Object.entries(values).map(([key, value]) => `${key} ${rounded(value)}`)
        const told = [...figures, ...problems].join(", ")
        log(`${workload.name} ${round + 1}/${rounds}: ${run.subject.name}: ${told}`)
      }
    }
  } finally {
    for (const { subject } of runs) subject.cleanUp()
  }
  const reference = workload.reference(sizes)
  const yardstick = runs.find(({ subject }) => subject.name === reference)?.rounds ?? []
  return {
    name: workload.name,
    description: workload.describe(sizes),
    reference,
    kinds: workload.figures,
    subjects: runs.map((run) => ({
      name: run.subject.name,
      figures: Object.fromEntries(
        workload.figures.flatMap(({ key }) => figureOf(key, run.rounds, yardstick).map((figure) => [key, figure]))
      ),
      problems: [...run.problems]
    }))
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const failed = (error: unknown): Measured => ({ values: {}, problems: [messageOf(error)] })

const figureOf = (key: string, rounds: Run["rounds"], yardstick: Run["rounds"]): ReadonlyArray<Figure> => {
  const values = rounds.flatMap((of) => finite(of[key]))
  if (values.length === 0) return []
  const ratios = rounds.flatMap((of, round) =>
    finite((of[key] ?? Number.NaN) / (yardstick[round]?.[key] ?? Number.NaN))
  )
  const ratio = ratios.length === 0 ? {} : { ratio: rounded(median(ratios)) }
  return [{ median: rounded(median(values)), rounds: values.map(rounded), ...ratio }]
}

const finite = (value: number | undefined): ReadonlyArray<number> =>
  value === undefined || !Number.isFinite(value) ? [] : [value]
