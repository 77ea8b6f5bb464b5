import { Database } from "bun:sqlite"
import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { migrations } from "../../src/sqlite/migrations.ts"

/** Pages that SQLite keeps in memory of a commit that is being written: so few that most are on disk already. */
const CACHED_PAGES = 1

export const cut = (path: string, bytes: number): void => truncateSync(path, bytes)

/** @param text each character one byte */
export const overwrite = (path: string, at: number, text: string): void => {
  const bytes = readFileSync(path)
  bytes.write(text, at, "latin1")
  writeFileSync(path, bytes)
}

export const flipBit = (path: string, at: number): void => {
  const bytes = readFileSync(path)
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
  writeFileSync(path, bytes)
}

export const change = (path: string, sql: string): void => {
  const database = new Database(path)
  database.run(sql)
  database.close(true)
}

/** Changes the database as a process that is killed before it could merge its write-ahead log. */
export const changeAndKill = (path: string, sql: string): void => {
  using database = new Database(path)
  database.run("PRAGMA journal_mode = WAL")
  database.run(sql)
  leaveAsKilled(database, path)
}

/** Commits first, and is killed in the middle of writing the second change. */
export const killInCommit = (path: string, first: string, second: string): void => {
  using database = new Database(path, { create: true, readwrite: true })
  if (first !== "") database.run(first)
  database.run(`PRAGMA cache_size = ${CACHED_PAGES}`)
  database.run(`BEGIN; ${second}`)
  leaveAsKilled(database, path)
}

/** The files of a first start that was killed while it created the tables. */
export const killInFirstStart = (path: string): void => {
  killInCommit(path, "", migrations.join("\n"))
}

/** The write-ahead log of another database, as its killed process left it. */
export const foreignLog = (path: string): string => {
  const other = `${path}.other`
  changeAndKill(other, "CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('soup')")
  rmSync(other)
  return `${other}-wal`
}

/** Closing would tidy up, so the files are put back as they were before it. */
const leaveAsKilled = (database: Database, path: string): void => {
  const files = ["", "-wal", "-journal"].map((suffix) => `${path}${suffix}`)
  const left = files.flatMap((file) => {
    try {
      return [{ file, bytes: readFileSync(file) }]
    } catch {
      return []
    }
  })
  database.close()
  for (const file of [...files, `${path}-shm`]) rmSync(file, { force: true })
  for (const { file, bytes } of left) writeFileSync(file, bytes)
}
