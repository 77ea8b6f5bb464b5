import { Effect, Exit } from "effect"
import { describe, expect, it } from "vitest"
import { readSettings } from "../src/config.ts"

const DAY_MS = 86_400_000

const retentionOf = (environment: Readonly<Record<string, string>>) =>
  Effect.runSync(readSettings(environment, false)).retention

describe("the settings of retention", () => {
  it("have their defaults", () => {
    expect(retentionOf({})).toEqual({
      finishedMs: 30 * DAY_MS,
      eventsMs: 7 * DAY_MS,
      deadLettersMs: 90 * DAY_MS,
      keptRequestsMs: 30 * DAY_MS
    })
  })

  it("are numbers with a unit, or off", () => {
    expect(
      retentionOf({
        RETENTION_FINISHED: "45s",
        RETENTION_EVENTS: " 15m ",
        RETENTION_DEAD_LETTERS: "12h",
        RETENTION_KEPT_REQUESTS: "off"
      })
    ).toEqual({ finishedMs: 45_000, eventsMs: 900_000, deadLettersMs: 43_200_000, keptRequestsMs: null })
    expect(retentionOf({ RETENTION_FINISHED: "99999d" }).finishedMs).toBe(99_999 * DAY_MS)
  })

  it("refuse everything else, and name each that is wrong", () => {
    const wrong = ["30", "d", "0d", "-1d", "1.5h", "30 d", "30D", "1w", "100000000d", "OFF", "1d12h", "٣d"]
    for (const text of wrong) {
      const keys = ["RETENTION_FINISHED", "RETENTION_EVENTS", "RETENTION_DEAD_LETTERS", "RETENTION_KEPT_REQUESTS"]
      const environment = Object.fromEntries(keys.map((key) => [key, text]))
      const exit = Effect.runSyncExit(Effect.flip(readSettings(environment, false)))
      expect(Exit.isSuccess(exit) ? exit.value.problems : text).toEqual(
        keys.map(
          (key) =>
            `${key} is wrong: expected a time such as 30d, 12h, 15m or 45s, or off to keep for ever. Fix it or leave it out.`
        )
      )
    }
  })
})

describe("the settings of access", () => {
  const settingsOf = (environment: Readonly<Record<string, string>>) => Effect.runSync(readSettings(environment, false))

  it("ask for keys unless nobody else can reach the service, and as they say", () => {
    for (const host of ["127.0.0.1", "127.1.2.3", "localhost", "::1"]) {
      expect({ host, isKeyed: settingsOf({ HOST: host }).isKeyed }).toEqual({ host, isKeyed: false })
      expect(settingsOf({ HOST: host, AUTH: "on" }).isKeyed).toBe(true)
    }
    for (const host of ["0.0.0.0", "::", "10.0.0.1", "calls.example.com", "localhost.example.com"]) {
      expect({ host, isKeyed: settingsOf({ HOST: host }).isKeyed }).toEqual({ host, isKeyed: true })
      expect(settingsOf({ HOST: host, AUTH: "off" }).isKeyed).toBe(false)
    }
  })

  it("have their defaults, and numbers or off for limits", () => {
    expect(settingsOf({ DB_PATH: "/x/y.db" })).toMatchObject({
      adminKeyFile: "/x/admin.key",
      limits: { submissionsPerSecond: null, pendingCalls: null, storedBytes: null }
    })
    expect(
      settingsOf({ RATE_LIMIT_SUBMISSIONS: "50", QUOTA_PENDING_CALLS: "off", QUOTA_STORED_BYTES: "999999999999" })
        .limits
    ).toEqual({ submissionsPerSecond: 50, pendingCalls: null, storedBytes: 999_999_999_999 })
  })

  it("refuse everything else, and name each that is wrong", () => {
    const keys = ["AUTH", "RATE_LIMIT_SUBMISSIONS", "QUOTA_PENDING_CALLS", "QUOTA_STORED_BYTES"]
    for (const text of ["true", "0", "-1", "1.5", "1e3", "ON", "9999999999999"]) {
      const environment = Object.fromEntries(keys.map((key) => [key, text]))
      const exit = Effect.runSyncExit(Effect.flip(readSettings(environment, false)))
      const problems = Exit.isSuccess(exit) ? exit.value.problems : []
      expect(problems.map((line) => line.split(" ")[0]).sort()).toEqual([...keys].sort())
    }
  })
})
