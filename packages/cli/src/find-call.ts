import { Effect } from "effect"
import { Agent, callsOf, spell } from "./agent.ts"
import type { Page } from "./calls.ts"
import { CommandFailed, EXIT } from "./failure.ts"
import { visible } from "./output.ts"

/** Where an abbreviated id is looked up. */
const LATEST_MAX = 100
const PART_CHARACTERS_MIN = 4
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** Slips of the hand that are forgiven in a suggestion. */
const SLIPS_MAX = 2

/** The id that was meant: all of it, or a beginning or an end that only one of the latest calls has. */
export const findCall = Effect.fn("Cli.findCall")(function* (text: string) {
  const id = text.toLowerCase()
  if (UUID.test(id)) return id
  const { settings } = yield* Agent
  const latest = yield* latestIds
  const isPart = id.length >= PART_CHARACTERS_MIN && /^[0-9a-f-]+$/.test(id)
  const found = isPart ? latest.filter((candidate) => candidate.startsWith(id) || candidate.endsWith(id)) : []
  const [only, ...others] = found
  if (only !== undefined && others.length === 0) return only
  if (only !== undefined) {
    return yield* new CommandFailed({
      exitCode: EXIT.usage,
      message: `${found.length} of the latest calls begin or end with ${id}: give more of it`,
      details: found.slice(0, 10)
    })
  }
  const message = isPart
    ? `none of the latest ${LATEST_MAX} calls begins or ends with ${id}`
    : `${visible(text)} is no id, nor ${PART_CHARACTERS_MIN} or more characters at one end of it`
  return yield* new CommandFailed({
    exitCode: isPart ? EXIT.notFound : EXIT.usage,
    message,
    details: didYouMean(id, latest),
    next: spell(settings, "list")
  })
})

/** Adds to the failure of a call that is not there what may have been meant. */
export const suggesting = <A, R>(id: string, effect: Effect.Effect<A, CommandFailed, R>) =>
  Effect.catchIf(
    effect,
    (failed) => failed.exitCode === EXIT.notFound,
    (failed) =>
      Effect.gen(function* () {
        const { settings } = yield* Agent
        const { exitCode, message, details = [], problem } = failed
        const suggestions = didYouMean(id, yield* latestIds)
        return yield* new CommandFailed({
          exitCode,
          message,
          problem,
          details: [...suggestions, ...details],
          next: spell(settings, "list")
        })
      })
  )

const latestIds = Effect.gen(function* () {
  const { ask, settings } = yield* Agent
  const query = new URLSearchParams({ limit: String(LATEST_MAX) })
  const { body } = yield* ask<Page>("GET", callsOf(settings), { query })
  return body.items.map(({ serviceCallId }) => serviceCallId)
})

const didYouMean = (id: string, candidates: ReadonlyArray<string>): ReadonlyArray<string> =>
  candidates
    .map((candidate) => {
      const ends = [candidate.slice(0, id.length), candidate.slice(-id.length)]
      return { candidate, slips: Math.min(...ends.map((end) => slipsBetween(id, end))) }
    })
    .filter(({ slips }) => slips <= SLIPS_MAX && id.length > 2 * SLIPS_MAX)
    .sort((one, other) => one.slips - other.slips)
    .slice(0, 3)
    .map(({ candidate }) => `did you mean ${candidate}?`)

/** Letters to change, add or leave out to get from one text to the other (Levenshtein). */
const slipsBetween = (one: string, other: string): number => {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (const [index, letter] of [...one].entries()) {
    const above = row
    row = [index + 1]
    for (const [column, otherLetter] of [...other].entries()) {
      const replaced = (above[column] ?? 0) + (letter === otherLetter ? 0 : 1)
      row.push(Math.min(replaced, (above[column + 1] ?? 0) + 1, (row[column] ?? 0) + 1))
    }
  }
  return row.at(-1) ?? 0
}
