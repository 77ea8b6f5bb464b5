import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import type { Contender } from "./contender.ts"
import { floor } from "./contenders/floor.ts"
import { libraries } from "./contenders/peers.ts"
import { restate } from "./contenders/restate.ts"
import { service } from "./contenders/service.ts"
import { type Options, readOptions, USAGE } from "./options.ts"
import { toSvg } from "./plot.ts"
import { cleanUpOnExit } from "./processes.ts"
import { toMarkdown } from "./report.ts"
import { loadNow, machine, type Results, runWorkload, type WorkloadResult } from "./results.ts"
import type { Workload } from "./workload.ts"
import { armed } from "./workloads/armed.ts"
import { due } from "./workloads/due.ts"
import { growth } from "./workloads/growth.ts"
import { idle } from "./workloads/idle.ts"
import { now } from "./workloads/now.ts"
import { size } from "./workloads/size.ts"
import { submit } from "./workloads/submit.ts"

/**
 * How the service stands against hand-written code and against what people use today, on the same work, in one run.
 * Progress goes to the error output, the table to the output.
 */
const workloads: ReadonlyArray<Workload> = [now, due, armed, submit, idle, size, growth]
const contenders: ReadonlyArray<Contender> = [floor, service, ...libraries, restate]

const namesOf = (all: ReadonlyArray<{ readonly name: string }>) => all.map(({ name }) => name)

const main = async (): Promise<void> => {
  const started = new Date()
  const options = optionsOrExit(started)
  cleanUpOnExit()
  const log = (line: string) => console.error(`${new Date().toISOString().slice(11, 19)} ${line}`)
  const chosen = contenders.filter(({ name }) => options.contenders.includes(name))
  for (const { name, missing } of chosen) if (missing !== undefined) log(`${name} is missing: ${missing}`)
  const present = chosen.filter(({ missing }) => missing === undefined)
  const before = loadNow()
  const done: Array<WorkloadResult> = []
  for (const workload of workloads.filter(({ name }) => options.workloads.includes(name))) {
    done.push(await runWorkload(workload, present, options.sizes, options.rounds, log))
    // After each, so that a run that is cut off has not been for nothing.
    write(options, {
      startedAt: started.toISOString(),
      endedAt: new Date().toISOString(),
      command: ["bun run bench", ...process.argv.slice(2)].join(" "),
      rounds: options.rounds,
      sizes: options.sizes,
      machine: machine(),
      load: [before, loadNow()],
      contenders: chosen.map(({ name, settings, missing }) => ({ name, settings, missing: missing ?? null })),
      workloads: done.filter(({ subjects }) => subjects.length > 0)
    })
  }
  log(`written: ${options.resultsPath}`)
  console.log(latestReport)
  process.exit(0)
}

let latestReport = ""

const write = (options: Options, results: Results): void => {
  latestReport = toMarkdown(results)
  mkdirSync(dirname(options.resultsPath), { recursive: true })
  writeFileSync(options.resultsPath, `${JSON.stringify(results, null, 2)}\n`)
  if (options.docs === undefined) return
  mkdirSync(options.docs, { recursive: true })
  writeFileSync(join(options.docs, "benchmarks.md"), `${latestReport}\n`)
  writeFileSync(join(options.docs, "benchmarks.svg"), toSvg(results))
}

const optionsOrExit = (now: Date): Options => {
  try {
    const names = { workloads: namesOf(workloads), contenders: namesOf(contenders) }
    return readOptions(process.argv.slice(2), names, now)
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${USAGE}`)
    process.exit(2)
  }
}

await main()
