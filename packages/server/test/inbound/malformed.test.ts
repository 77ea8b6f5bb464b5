import { afterAll, describe, expect, it } from "vitest"
import { sideBySide } from "../client.ts"
import { removeLeftovers, Service } from "../process.ts"
import { Random } from "../random.ts"
import { rowCounts } from "../stored.ts"
import { heartbeat } from "./heartbeat.ts"
import { ANSWERED, CUT_OFF, REFUSED, UNREAD } from "./malformed.ts"
import { exchange, statusesIn } from "./wire.ts"

const SEED = Number(process.env["FUZZ_SEED"] ?? 20_260_801)
const ROUNDS = Number(process.env["FUZZ_ROUNDS"] ?? 16)
const WIDTH = 32
/** What Bun answers by itself, without a body, before it closes. */
const BUN_REFUSES = new Set([400, 413, 431, 505])

afterAll(removeLeftovers)

describe(`bytes that are not quite HTTP, in pieces (FUZZ_SEED=${SEED})`, () => {
  it("are refused and the connection closed, and what is unusual but clear is answered as what it is", async () => {
    await using service = await Service.start({ LOG_LEVEL: "warning" })
    using beat = heartbeat(service)
    const wrong: Array<string> = []
    const rounds = Array.from({ length: ROUNDS }, (_, round) => round)

    const ask = async (what: string, make: (random: Random) => string, round: number, end: boolean) => {
      const random = new Random(SEED, round, ...Buffer.from(what))
      const answer = await exchange(service.url, inPieces(make(random), random), end)
      return { ...answer, statuses: statusesIn(answer.text), what: `${what}, round ${round}` }
    }
    await sideBySide(
      rounds.flatMap((round) => Object.entries(REFUSED).map((entry) => [round, ...entry] as const)),
      WIDTH,
      async ([round, what, make]) => {
        const { statuses, isClosed, text, what: which } = await ask(what, make, round, false)
        // What comes before may get an answer of ours, and no success.
        const isRefused = statuses.every((status) => status >= 400) && BUN_REFUSES.has(statuses.at(-1) ?? 400)
        if (!isClosed || !isRefused) wrong.push(`${which}: ${isClosed ? "" : "left open, "}${text.slice(0, 300)}`)
      }
    )
    await sideBySide(
      rounds.flatMap((round) => Object.entries(ANSWERED).map((entry) => [round, ...entry] as const)),
      WIDTH,
      async ([round, what, [make, ...expected]]) => {
        const { statuses, isClosed, text, what: which } = await ask(what, make, round, false)
        // What comes to a closed connection resets it, and that can take the answer along.
        const isLost = what === UNREAD && text === ""
        const isRight = isLost || (statuses.at(-1) === expected.at(-1) && statuses[0] === expected[0])
        if (!isClosed || !isRight)
          wrong.push(`${which}: ${isClosed ? "" : "left open, "}${statuses} ${text.slice(0, 300)}`)
      }
    )
    await sideBySide(
      rounds.flatMap((round) => Object.entries(CUT_OFF).map((entry) => [round, ...entry] as const)),
      WIDTH,
      async ([round, what, make]) => {
        const { text, isClosed, what: which } = await ask(what, make, round, true)
        if (!isClosed || text !== "") wrong.push(`${which}: ${isClosed ? "" : "left open, "}${text.slice(0, 300)}`)
      }
    )

    expect(wrong).toEqual([])
    const counts = rowCounts(service.dbPath)
    expect(counts).toEqual(Object.fromEntries(Object.keys(counts).map((table) => [table, 0])))
    expect(beat.misses).toEqual([])
    expect(service.logs).toEqual(service.readyLine === undefined ? [] : [service.readyLine])
  })
})

/** Cut anywhere: a reader must not depend on what comes together. */
const inPieces = (text: string, random: Random): ReadonlyArray<Uint8Array> => {
  const bytes = Buffer.from(text, "latin1")
  const cuts = Array.from({ length: random.int(4) }, () => random.int(bytes.byteLength)).sort((a, b) => a - b)
  return [0, ...cuts].map((from, index) => bytes.subarray(from, cuts[index] ?? bytes.byteLength))
}
