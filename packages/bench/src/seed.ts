import { Database, type SQLQueryBindings } from "bun:sqlite"
import { open } from "node:fs/promises"

/** Calls that one transaction copies. In between, this process listens to signals. */
const BATCH_SIZE = 2_000

/** What is stored of one call: the rows that a real submission has written, by table. */
export interface Template {
  readonly serviceCallId: string
  readonly rows: ReadonlyArray<{ readonly table: string; readonly row: Readonly<Record<string, SQLQueryBindings>> }>
}

/** Reads every row of the one call that the file has. Fails when there are messages of it that nobody has handled. */
export const readTemplate = (dbPath: string): Template => {
  using database = new Database(dbPath, { readonly: true })
  const ids = database.query<{ id: string }, []>("SELECT service_call_id AS id FROM service_calls").all()
  const [first, ...others] = ids
  if (first === undefined || others.length > 0)
    throw new Error(`one call was expected as a template, not ${ids.length}`)
  const rows = tablesOfCalls(database).flatMap((table) =>
    database
      .query<Record<string, SQLQueryBindings>, [string]>(`SELECT * FROM ${table} WHERE service_call_id = ?`)
      .all(first.id)
      .map((row) => ({ table, row }))
  )
  if (rows.some(({ table }) => table === "deliveries")) throw new Error("the template is not at rest yet")
  return { serviceCallId: first.id, rows }
}

/**
 * Stores copies of a call, each with an id of its own and with times that are a millisecond apart, as if they had been
 * submitted one after the other before it. Nothing may have the file open.
 */
export const seedCopies = async (dbPath: string, template: Template, count: number): Promise<void> => {
  const database = new Database(dbPath, { readwrite: true, create: false, strict: true })
  try {
    // A crash in here costs a new run, so nothing has to be synced.
    database.query("PRAGMA journal_mode = OFF").all()
    database.run("PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE")
    database.run("PRAGMA cache_size = -1000000")
    const inserts = template.rows.map((of) => insertOf(database, template, of))
    for (let from = 0; from < count; from += BATCH_SIZE) {
      database.run("BEGIN")
      for (let index = from; index < Math.min(from + BATCH_SIZE, count); index++) {
        const shiftMs = index - count
        const serviceCallId = Bun.randomUUIDv7("hex", timeOf(template.serviceCallId) + shiftMs)
        for (const { insert } of inserts) insert(serviceCallId, shiftMs)
      }
      database.run("COMMIT")
      await Bun.sleep(0)
    }
    for (const { end } of inserts) end()
    database.run("PRAGMA locking_mode = NORMAL")
    database.query("PRAGMA journal_mode = WAL").all()
  } finally {
    database.close()
  }
  // Otherwise the system would write gigabytes in the background of what is measured next.
  const file = await open(dbPath, "r+")
  await file.sync()
  await file.close()
}

const tablesOfCalls = (database: Database): ReadonlyArray<string> =>
  database
    .query<{ name: string }, []>(
      `SELECT t.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c ON c.name = 'service_call_id'
       WHERE t.type = 'table' ORDER BY t.name`
    )
    .all()
    .map(({ name }) => name)

/** The time inside a UUIDv7, in milliseconds since 1970. */
const timeOf = (uuid: string): number => Number.parseInt(uuid.replace("-", "").slice(0, 12), 16)

const insertOf = (database: Database, { serviceCallId }: Template, { table, row }: Template["rows"][number]) => {
  // Numbers that the table gives out itself.
  const columns = Object.entries(row).filter(([name]) => name !== "seq")
  const names = columns.map(([name]) => name)
  const statement = database.prepare(
    `INSERT INTO ${table} (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`
  )
  const copies = columns.map(([name, value]) => copyOf(name, value, serviceCallId))
  return {
    insert: (id: string, shiftMs: number) => {
      statement.run(...copies.map((copy) => copy(id, shiftMs)))
    },
    end: () => statement.finalize()
  }
}

const copyOf = (
  name: string,
  value: SQLQueryBindings,
  templateId: string
): ((id: string, shiftMs: number) => SQLQueryBindings) => {
  if (name === "message_id") return () => Bun.randomUUIDv7()
  if (typeof value === "number" && /(_at|^timestamp)$/.test(name)) return (_, shiftMs) => value + shiftMs
  if (typeof value === "string" && value.includes(templateId)) return (id) => value.replaceAll(templateId, id)
  return () => value
}
