import { closeSync, fsyncSync, linkSync, lstatSync, openSync, renameSync, rmSync, statfsSync } from "node:fs"
import { constants, setPriority } from "node:os"
import { dirname, resolve } from "node:path"
import { sizeOf, syncFolder } from "@event-service-agent/adapters/sqlite/database-files"
import { damageOf, openDatabase, schemaVersionOf, usedBytesOf } from "./database.ts"
import { type SentMeanwhile, watchSends } from "./sent-meanwhile.ts"

const MEBIBYTE = 1_048_576
/** Bytes that stay free beside a copy at least. */
const SPARE_BYTES_MIN = 64 * MEBIBYTE
/** The same, as a part of the copy. */
const SPARE_PART = 1 / 10

/** Something is there already, and stays. */
export class AlreadyThere extends Error {}

export interface Backup {
  readonly file: string
  readonly bytes: number
  readonly tookMs: number
  readonly schemaVersion: number
  readonly sentMeanwhile: SentMeanwhile
}

/**
 * Copies the database as of one moment into a new file, while the service runs. The file has its name only once it is
 * complete, checked and on the disk. Only this user can read it. Throws, with the reason, and leaves nothing behind.
 */
export const backUp = (path: string, file: string): Backup => {
  const startedAt = performance.now()
  refuseExisting(file)
  // The service comes first where both want the processor.
  setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
  using source = openDatabase(path)
  const sent = watchSends(source)
  const partial = `${file}.partial-${process.pid}`
  create(partial)
  try {
    refuseFull(dirname(resolve(file)), usedBytesOf(source))
    source.prepare("VACUUM INTO ?").run(partial)
    const schemaVersion = check(partial)
    sync(partial)
    const sentMeanwhile = sent()
    publish(partial, file)
    syncFolder(dirname(file))
    const tookMs = Math.round(performance.now() - startedAt)
    return { file, bytes: sizeOf(file), tookMs, schemaVersion, sentMeanwhile }
  } finally {
    for (const suffix of ["", "-journal"]) rmSync(partial + suffix, { force: true })
  }
}

const create = (partial: string): void => {
  try {
    closeSync(openSync(partial, "wx", 0o600))
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`nothing can be written into ${resolve(dirname(partial))}: ${why}`)
  }
}

/**
 * Bytes that have to be free for a copy of so many: while it is made the service goes on writing, often on the same disk,
 * and its write-ahead log only grows until then. On a full disk it would refuse submissions.
 */
export const bytesFor = (copy: number): number => copy + Math.max(SPARE_BYTES_MIN, Math.ceil(copy * SPARE_PART))

const refuseFull = (folder: string, copy: number): void => {
  const { blocks, bavail, bsize } = statfsSync(folder)
  const free = bavail * bsize
  // Without blocks it is one without an end, or one that does not tell.
  if (blocks === 0 || free >= bytesFor(copy)) return
  const needed = `${inMebibytes(bytesFor(copy))} are needed, ${inMebibytes(copy)} for the copy and the rest to stay free`
  throw new Error(
    `${folder} has ${inMebibytes(free, Math.floor)} free; ${needed}. Make room there, or choose a folder on another disk`
  )
}

const inMebibytes = (bytes: number, round = Math.ceil): string => `${round((bytes / MEBIBYTE) * 10) / 10} MiB`

const refuseExisting = (file: string): void => {
  if (lstatSync(file, { throwIfNoEntry: false }) !== undefined) {
    throw new AlreadyThere(`${file} is there already: choose another name`)
  }
}

const check = (copy: string): number => {
  using database = openDatabase(copy)
  const [damage] = damageOf(database)
  if (damage !== undefined) throw new Error(`the copy is damaged, and so may be the database: ${damage}`)
  return schemaVersionOf(database).stored
}

const sync = (file: string): void => {
  const descriptor = openSync(file, "r+")
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** Gives the file its name, unless somebody else has taken it meanwhile. */
const publish = (partial: string, file: string): void => {
  try {
    linkSync(partial, file)
  } catch (error) {
    refuseExisting(file)
    const code = error instanceof Error && "code" in error ? error.code : undefined
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "EOPNOTSUPP") throw error
    // A file system without links.
    renameSync(partial, file)
  }
}
