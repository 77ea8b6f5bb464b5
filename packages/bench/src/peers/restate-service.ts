import { BODY } from "../contender.ts"
import { load, post } from "./peer.ts"

interface Context {
  readonly run: (name: string, action: () => Promise<number>) => Promise<number>
}

interface Restate {
  readonly service: (definition: {
    readonly name: string
    readonly handlers: Readonly<Record<string, (context: Context, input: { readonly url: string }) => Promise<number>>>
  }) => object
  readonly serve: (options: { readonly services: ReadonlyArray<object>; readonly port: number }) => Promise<number>
}

/** The program that Restate calls, over HTTP/2 with streams in both directions: a durable step around the request. */
const { service, serve }: Restate = await load("@restatedev/restate-sdk")
const bench = service({
  name: "bench",
  handlers: { call: (context, { url }) => context.run("post", () => post(url, BODY)) }
})
const port = await serve({ services: [bench], port: Number(process.argv[2]) })
process.on("SIGTERM", () => process.exit(0))
console.log(`listening ${port}`)
