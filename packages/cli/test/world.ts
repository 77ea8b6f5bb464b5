import type { CountingTarget } from "@event-service-agent/server/testing/counting-target"
import { countingTarget } from "@event-service-agent/server/testing/counting-target"
import { removeLeftovers, Service } from "@event-service-agent/server/testing/process"
import { expect } from "vitest"
import type { Detail } from "../src/calls.ts"
import { type How, type Ran, runEsa } from "./esa.ts"

export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** A service, a target that it may call, and the command line for them. For the tests of one file. */
export interface World extends AsyncDisposable {
  readonly target: CountingTarget
  readonly service: Service
  readonly esa: (args: ReadonlyArray<string>, how?: How) => Promise<Ran>
  /** Runs a command that has to succeed. */
  readonly done: (args: ReadonlyArray<string>, how?: How) => Promise<Ran>
  /** The id of a new call. */
  readonly call: (...args: ReadonlyArray<string>) => Promise<string>
  /** All about a new call that has succeeded. */
  readonly callToEnd: (...args: ReadonlyArray<string>) => Promise<Detail>
  readonly detail: (id: string) => Promise<Detail>
}

/** A target that fails for `/broken`, and a service that may call it. */
export const makeWorld = async (): Promise<World> => {
  const target = countingTarget(({ path }) => new Response("hello", { status: path === "/broken" ? 500 : 200 }))
  const service = await Service.start({ EGRESS_ALLOW: target.host })
  const esa = (args: ReadonlyArray<string>, { env = {}, ...how }: How = {}) =>
    runEsa(args, { env: { ESA_URL: service.url, ...env }, ...how })
  const done = async (args: ReadonlyArray<string>, how: How = {}) => {
    const ran = await esa(args, how)
    expect({ args, ...ran }).toMatchObject({ exitCode: 0 })
    return ran
  }
  return {
    target,
    service,
    esa,
    done,
    call: async (...args) => {
      const { stdout } = await done(["call", ...args])
      expect(stdout.trim()).toMatch(UUID)
      return stdout.trim()
    },
    callToEnd: async (...args) => JSON.parse((await done(["call", ...args, "--wait", "--json"])).stdout),
    detail: async (id) => JSON.parse((await done(["show", id, "--json"])).stdout),
    [Symbol.asyncDispose]: async () => {
      removeLeftovers()
      await target[Symbol.asyncDispose]()
    }
  }
}
