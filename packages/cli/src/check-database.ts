import { statfsSync, statSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { formatSpan } from "@event-service-agent/schemas/format-span"
import { type Check, fail, ok, warn } from "./checks.ts"
import { damageOf, openDatabase, schemaVersionOf } from "./database.ts"

const GIBIBYTE = 1_073_741_824
const FREE_BYTES_MIN = GIBIBYTE
const WRITABLE_BY_OTHERS = 0o022
const FOR_OTHERS = 0o077

/** Looks at the database file and what is around it, without the service; also while it runs. Changes nothing. */
export const checkDatabase = (path: string): ReadonlyArray<Check> => [
  looking("integrity", () => {
    const startedAt = performance.now()
    using database = openDatabase(path)
    const damage = damageOf(database)
    return damage.length === 0
      ? ok("integrity", `sound, checked in ${formatSpan(performance.now() - startedAt)}`)
      : fail("integrity", damage.join("; "))
  }),
  looking("schema", () => {
    using database = openDatabase(path)
    const { stored, known } = schemaVersionOf(database)
    if (stored > known) return warn("schema", `version ${stored}; this program knows ${known}`)
    return stored === known
      ? ok("schema", `version ${stored}`)
      : warn("schema", `version ${stored}; the next start brings it to ${known}`)
  }),
  looking("file rights", () => {
    const file = statSync(path)
    return (file.mode & WRITABLE_BY_OTHERS) === 0
      ? ok("file rights", `${rightsOf(file.mode)}, others cannot write`)
      : fail("file rights", `${rightsOf(file.mode)}: others can write it; chmod go-w ${path}`)
  }),
  looking("secret key", () => {
    const key = process.env["SECRET_KEY_FILE"] || join(dirname(path), "secret.key")
    const file = statSync(key, { throwIfNoEntry: false })
    if (file === undefined) return warn("secret key", `not at ${key}; SECRET_KEY_FILE says where it is`)
    return (file.mode & FOR_OTHERS) === 0
      ? ok("secret key", `${rightsOf(file.mode)}, only its owner can read it`)
      : fail("secret key", `${rightsOf(file.mode)}: others can read it; chmod 600 ${key}`)
  }),
  looking("disk", () => {
    const { bavail, bsize } = statfsSync(dirname(resolve(path)))
    const free = `${((bavail * bsize) / GIBIBYTE).toFixed(1)} GiB free`
    return bavail * bsize >= FREE_BYTES_MIN ? ok("disk", free) : warn("disk", `only ${free}`)
  })
]

const looking = (check: string, look: () => Check): Check => {
  try {
    return look()
  } catch (error) {
    return fail(check, error instanceof Error ? error.message : String(error))
  }
}

const rightsOf = (mode: number): string => (mode & 0o777).toString(8).padStart(3, "0")
