import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { submit } from "../client.ts"
import { countingTarget } from "../counting-target.ts"
import { type Command, removeLeftovers, Service, temporaryFolder } from "../process.ts"
import { until } from "../until.ts"
import { itNeeds } from "./needs.ts"
import { powerCutViolations, STRACE_ARGUMENTS, straceMissing } from "./power-cut.ts"

const TENANT = "acme"
const [ONE_BY_ONE, SIDE_BY_SIDE] = [4, 12]
const MAIN = join(import.meta.dirname, "../../src/main.ts")
const WITHOUT_SYNC = join(import.meta.dirname, "without-sync.ts")

const missing = straceMissing()

afterAll(removeLeftovers)

describe("a power cut", () => {
  itNeeds(
    missing,
    "finds on disk what each 202 and each request rests on, since both leave after the sync",
    async () => {
      expect(await violationsOf([process.execPath, MAIN])).toEqual([])
    }
  )

  itNeeds(missing, "would break every promise without that sync, and the trace shows it", async () => {
    const violations = await violationsOf([process.execPath, "--preload", WITHOUT_SYNC, MAIN])
    const ofKind = (kind: RegExp) => violations.filter((violation) => kind.test(violation))
    expect(ofKind(/^the 202 of \S+ left before its ServiceCallSubmitted was synced$/)).toHaveLength(16)
    expect(ofKind(/^the request of \S+ left before its ExecutionStarted was synced$/)).toHaveLength(16)
  })
})

describe("the check of a trace", () => {
  const wal = "10</d/s.db-wal>"
  const [header, row] = [
    String.raw`"\0\0\0\1\0\0\0\3${"x".repeat(16)}", 24, 32`,
    '"..ServiceCallSubmittedacmeid-1", 25, 56'
  ]
  const claim = '"..ExecutionStartedacmeid-1", 24, 56'
  const write = (data: string) => `7 pwrite64(${wal}, ${data}) = 24`
  const answer = `7 sendto(5<TCP:[a:1->b:2]>, "HTTP/1.1 202 Accepted\\r\\nLocation: /id-1", 9, 0, NULL, 0) = 9`
  const request = `8 sendto(6<TCP:[a:3->b:4]>, "POST / HTTP/1.1\\r\\nIdempotency-Key: id-1\\r\\n", 9, 0, NULL, 0) = 9`
  const sync = `7 fsync(${wal}) = 0`
  const submission = [write(header), write(row)]
  const claimed = [write(header), write(claim)]
  const traced = { dbPath: "/d/s.db", files: [], tenant: "acme", serviceCallIds: ["id-1"] }
  const check = (...lines: ReadonlyArray<string>) => powerCutViolations(lines.join("\n"), traced)

  it("passes what was synced before it left, however the lines are cut", () => {
    expect(check(...submission, sync, answer, ...claimed, sync, request)).toEqual([])
    const begun = [`7 fsync(${wal} <unfinished ...>`, '9 write(1</dev/null>, "x", 1) = 1', "7 <... fsync resumed>) = 0"]
    expect(check(...submission, ...begun, answer, ...claimed, sync, request)).toEqual([])
  })

  it("takes a sync for none that is under way, that failed, that began before the commit, or that is of another file", () => {
    const early = ["the 202 of id-1 left before its ServiceCallSubmitted was synced"]
    const rest = [...claimed, sync, request]
    expect(
      check(...submission, `7 fsync(${wal} <unfinished ...>`, answer, "7 <... fsync resumed>) = 0", ...rest)
    ).toEqual(early)
    expect(check(...submission, `7 fsync(${wal}) = -1 EIO (Input/output error)`, answer, ...rest)).toEqual(early)
    expect(check(write(header), sync, write(row), answer, ...rest)).toEqual(early)
    expect(check(...submission, "7 fsync(9</d/s.db>) = 0", answer, ...rest)).toEqual(early)
    expect(check(...submission, sync, answer, ...claimed, request, sync)).toEqual([
      "the request of id-1 left before its ExecutionStarted was synced"
    ])
  })

  it("finds fault with a trace that shows less than it should", () => {
    expect(check()).toEqual(["the 202 of id-1 is not in the trace", "the request of id-1 is not in the trace"])
    expect(check(sync, answer, request)).toEqual([
      "no commit has the ServiceCallSubmitted of id-1",
      "no commit has the ExecutionStarted of id-1"
    ])
    const created = '7 openat(AT_FDCWD</>, "/d/secret.key", O_WRONLY|O_CREAT, 0600) = 6</d/secret.key>'
    const withKey = (...lines: ReadonlyArray<string>) =>
      powerCutViolations(lines.join("\n"), { ...traced, files: ["/d/secret.key"], serviceCallIds: [] })
    expect(withKey(answer)).toEqual(["the creation of /d/secret.key is not in the trace"])
    expect(withKey(created, answer, "7 fsync(3</d>) = 0")).toEqual([
      "a 202 left before the folder of /d/secret.key was synced"
    ])
    expect(withKey(created, "7 fsync(3</d>) = 0", answer)).toEqual([])
  })
})

/** Runs the program under strace, has it make calls, and checks its trace. */
const violationsOf = async (program: Command): Promise<ReadonlyArray<string>> => {
  using traces = temporaryFolder()
  const file = join(traces.path, "trace.txt")
  await using target = countingTarget()
  const command = ["strace", ...STRACE_ARGUMENTS, "--output", file, ...program]
  const keyFile = join(traces.path, "keys/of this service/secret.key")
  await using service = await Service.start({ EGRESS_ALLOW: target.host, SECRET_KEY_FILE: keyFile }, { command })
  const serviceCallIds: Array<string> = []
  const call = async () => {
    const submission = { name: "a call", requestSpec: { method: "POST", url: target.url, body: "hello" } } as const
    serviceCallIds.push((await submit(service, TENANT, submission)).serviceCallId)
  }
  for (let n = 1; n <= ONE_BY_ONE; n++) {
    await call()
    await until("the target has got the call", () => target.count === n)
  }
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, call))
  await until("the target has got all calls", () => target.count === ONE_BY_ONE + SIDE_BY_SIDE)
  const { pid, dbPath } = service
  expect((await service.kill("SIGTERM")).exitCode).toBe(0)
  const trace = await until("the trace is complete", () => {
    const written = readFileSync(file, "latin1")
    return new RegExp(`^${pid} +\\+{3} exited with 0`, "m").test(written) && written
  })
  const files = [dbPath, `${dbPath}-wal`, keyFile, dirname(keyFile), dirname(dirname(keyFile))]
  return powerCutViolations(trace, { dbPath, files, tenant: TENANT, serviceCallIds })
}
