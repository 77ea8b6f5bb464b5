import { HostResolver } from "@event-service-agent/adapters/http/host-resolver"
import { layer } from "../../src/layers.ts"
import { run } from "../../src/run.ts"

/** The real program, for which names have the addresses that the environment's HOSTS says (JSON), and no others. */
const hosts = JSON.parse(process.env["HOSTS"] ?? "{}")

run((settings) => layer(settings, undefined, HostResolver.layerStatic(hosts)))
