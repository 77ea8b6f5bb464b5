import type { Service } from "../process.ts"
import { stored, TABLES } from "../stored.ts"
import { readContract } from "./contract-document.ts"
import { Wire, type WireAnswer } from "./wire.ts"

export interface Question {
  readonly method: string
  /** Path and query. */
  readonly target: string
  /** As they go over the wire, in this order, and more than once if they are here so. Without a Host it is localhost. */
  readonly headers?: ReadonlyArray<readonly [name: string, value: string]>
  readonly body?: string
}

/** Asks exactly this: no client adds or changes a header. */
export const askWith = async (service: Service, question: Question): Promise<WireAnswer> => {
  const { method, target, headers = [], body } = question
  const hasHost = headers.some(([name]) => name === "host")
  const lines = [
    ...(hasHost ? [] : [["host", "localhost"] as const]),
    ...headers,
    ...(body === undefined ? [] : [["content-length", String(Buffer.byteLength(body))] as const])
  ].map(([name, value]) => `${name}: ${value}\r\n`)
  using wire = new Wire(service.url)
  const bytes = Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n${body ?? ""}`)
  return await wire.ask({ bytes, isHead: method === "HEAD" })
}

/** All that the service has stored. */
export const contentOf = (service: Service): string =>
  JSON.stringify(TABLES.map((table) => stored<object>(service.dbPath, `SELECT * FROM ${table}`)))

/** The paths of the contract by method, with these values for their parameters. */
export const routesOf = async (
  service: Service,
  values: Readonly<Record<string, string>>
): Promise<ReadonlyArray<{ readonly id: string; readonly method: string; readonly target: string }>> =>
  (await readContract(service)).operations.map(({ id, method, path }) => ({
    id,
    method,
    target: path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
      const value = values[name]
      if (value === undefined) throw new Error(`the test does not know the parameter ${name} of ${id}`)
      return value
    })
  }))
