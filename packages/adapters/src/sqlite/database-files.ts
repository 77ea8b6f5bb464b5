import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  realpathSync,
  statSync
} from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import { APPLICATION_ID } from "./migrations.ts"
import { isWalDamaged } from "./wal-file.ts"

/** The small file beside a database that holds the lock on it, and the mark that there was one. */
export const lockPathOf = (file: string): string => `${file}.lock`

export const NO_DATABASE =
  "it is no database, or the beginning of one is damaged; restore a backup, or choose another DB_PATH"

const HEADER_BYTES = 100
const MAGIC = "SQLite format 3\0"
const APPLICATION_ID_OFFSET = 68

/**
 * The file itself, under whatever names and links it is opened: one lock for one file. Throws for what can be no
 * database.
 */
export const realPathOf = (path: string): string => {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) {
    return join(realpathSync(dirname(path)), basename(path))
  }
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) {
    throw new Error("it is a link to a file that does not exist; mount or restore that file, or remove the link")
  }
  if (found.isDirectory()) throw new Error("it is a folder; set DB_PATH to a file in it")
  if (!found.isFile()) throw new Error("it is no file; set DB_PATH to one")
  return realpathSync(path)
}

/**
 * Throws when there can be no database of ours at the path, as far as a look tells that changes nothing: neither the
 * folder comes to be nor a lock.
 */
export const refusePlace = (path: string): void => {
  const folder = dirname(resolve(path))
  const above = nearestThere(folder)
  if (!statSync(above).isDirectory()) throw new Error(`${above} is no folder; set DB_PATH to a file in one`)
  if (!wasCreated(path)) accessSync(above, constants.W_OK | constants.X_OK)
  if (above !== folder) return
  const real = realPathOf(path)
  // Where there is a lock, a start may be under way, or may have been cut off while it created the database.
  if (!existsSync(lockPathOf(real))) refuseForeign(real)
}

const nearestThere = (path: string): string => {
  if (existsSync(path)) return path
  const above = nearestThere(dirname(path))
  // Below a file there is nothing to ask about.
  if (statSync(above).isDirectory() && lstatSync(path, { throwIfNoEntry: false }) !== undefined) {
    throw new Error(`${path} is a link to what does not exist; mount or restore that, or set another DB_PATH`)
  }
  return above
}

/** Whether there is a database at the path, or was one: what was sealed for it needs its key. */
export const wasCreated = (path: string): boolean => sizeOf(path) > 0 || sizeOf(lockPathOf(path)) > 0

/**
 * Throws when a look at the files, without SQLite, already says that they are not ours. SQLite itself would finish
 * what another program has begun, even where it is only asked to read.
 */
export const refuseForeign = (file: string): void => {
  if (sizeOf(file) === 0) return
  const header = readStart(file, HEADER_BYTES)
  if (header.byteLength < HEADER_BYTES || header.toString("latin1", 0, MAGIC.length) !== MAGIC) {
    throw new Error(NO_DATABASE)
  }
  if (header.readUInt32BE(APPLICATION_ID_OFFSET) !== APPLICATION_ID) {
    throw new Error("it is a database of another program; choose another DB_PATH")
  }
}

/**
 * Throws when the database is gone but was there, or when its write-ahead log is damaged. SQLite would begin an empty
 * one, delete the log, or leave out what follows the damage, each without a word.
 *
 * @param isMarked whether the lock file says that there was a database
 */
export const refuseLost = (file: string, isMarked: boolean): void => {
  const wal = `${file}-wal`
  if (sizeOf(file) > 0) {
    if (isWalDamaged(wal)) throw new Error(`${wal}, which belongs to it, is damaged; restore a backup of both`)
    return
  }
  const remains = [...(isMarked ? [lockPathOf(file)] : []), ...(sizeOf(wal) > 0 ? [wal] : [])]
  if (remains.length === 0) return
  const state = existsSync(file) ? "empty" : "missing"
  throw new Error(
    `it is ${state}, but there was one: restore a backup, or mount its volume. To give it up and start with an empty one, delete ${remains.join(" and ")}`
  )
}

/** A start that was cut off while it created the database: SQLite takes back what it finds. */
export const isUnfinished = (file: string, isMarked: boolean): boolean => !isMarked && sizeOf(`${file}-journal`) > 0

/** Creates the folder and those above it as far as they are missing; a power cut does not take them back. */
export const makeFolder = (folder: string): void => {
  const first = mkdirSync(folder, { recursive: true })
  if (first === undefined) return
  const above = dirname(resolve(first))
  for (let made = resolve(folder); made !== above; made = dirname(made)) syncFolder(dirname(made))
}

/** After this, a power cut does not take back which files the folder has. */
export const syncFolder = (folder: string): void => {
  const descriptor = openSync(folder, "r")
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** In bytes; 0 for what is no file, or not there. */
export const sizeOf = (path: string): number => {
  const found = statSync(path, { throwIfNoEntry: false })
  return found?.isFile() === true ? found.size : 0
}

const readStart = (path: string, bytes: number): Buffer => {
  const start = Buffer.alloc(bytes)
  const descriptor = openSync(path, "r")
  try {
    return start.subarray(0, readSync(descriptor, start, 0, bytes, 0))
  } finally {
    closeSync(descriptor)
  }
}
