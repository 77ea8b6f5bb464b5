import { join } from "node:path"
import { type Command, type Environment, Service } from "../process.ts"

export const EXECUTOR: Command = [process.execPath, join(import.meta.dirname, "../../src/executor.ts")]

/** Starts an executor for the agent's folder, where its secret key is. It has no database and no address. */
export const startExecutor = (folder: string, env: Environment, command: Command = EXECUTOR): Promise<Service> =>
  Service.start({ SECRET_KEY_FILE: join(folder, "secret.key"), ...env }, { command, readyMessage: "executor ready" })
