import { expect } from "vitest"
import { submit } from "../client.ts"
import { countingTarget } from "../counting-target.ts"
import { type Environment, fatalMessageOf, runToEnd, Service, temporaryFolder } from "../process.ts"
import { until } from "../until.ts"

export const EXIT_CONFIG = 78

/** A start that has to be refused, as one with wrong settings. Returns what it says. */
export const refusalOf = async (env: Environment): Promise<string> => {
  using folder = temporaryFolder()
  const refused = await runToEnd(folder.path, env)
  expect(refused).toMatchObject({ exitCode: EXIT_CONFIG })
  return fatalMessageOf(refused)
}

/** Starts the program and has it perform one call. */
export const performs = async (env: Environment, body = ""): Promise<void> => {
  await using target = countingTarget()
  await using service = await Service.start({ ...env, EGRESS_ALLOW: target.host })
  const requestSpec = { method: "POST", url: target.url, body } as const
  const { serviceCallId } = await submit(service, "acme", { name: "one", requestSpec })
  await until("it is performed", () => target.byKey.get(serviceCallId)?.[0]?.body === body, 30_000)
  expect(target.count).toBe(1)
  expect(await (await service.fetch("/health/ready")).json()).toMatchObject({ status: "ok" })
}
