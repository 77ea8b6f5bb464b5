import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as SqliteDatabase from "@event-service-agent/adapters/sqlite/database"
import * as SqliteTransaction from "@event-service-agent/adapters/sqlite/transaction"
import type { Journal } from "@event-service-agent/platform/transaction"
import type { MessageType } from "@event-service-agent/schemas/messages/catalogue"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import type { Process } from "./simulator.ts"
import type { World } from "./world.ts"

export interface MessageRow {
  readonly seq: number
  readonly message_id: string
  readonly type: MessageType
  readonly service_call_id: string
  readonly version: number
  /** Milliseconds since 1970. */
  readonly timestamp: number
  readonly correlation_id: string
  readonly causation_id: string | null
  readonly payload: string
  readonly sealed: Uint8Array | null
}

export interface CallRow {
  readonly service_call_id: string
  readonly revision: number
  readonly status: string
  readonly sealed: Uint8Array | null
  readonly tags: string
  readonly due_at: number
  readonly attempt: number | null
  readonly lateness_ms: number | null
  readonly outcome: string | null
}

interface DeadLetterRow {
  readonly type: string
  readonly error: string
}

/** A real database that outlives the processes of a world. Power cuts are not simulated, so nothing waits for a disk. */
export const openDisk = () => {
  const folder = mkdtempSync(join(tmpdir(), "event-service-simulation-"))
  const scope = Scope.makeUnsafe()
  const connections = Effect.runSync(Layer.buildWithScope(SqliteDatabase.layer(join(folder, "simulation.db")), scope))
  const { database } = Context.get(connections, SqliteDatabase.WriteConnection)
  database.run("PRAGMA synchronous = OFF")
  const tables = database
    .query<{ readonly name: string }, []>(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    .all()
  const number = (sql: string) => {
    const statement = database.prepare<{ readonly number: number }, []>(`SELECT coalesce((${sql}), 0) AS number`)
    return () => statement.get()?.number ?? 0
  }

  return {
    database,
    connection: Context.get(connections, SqliteDatabase.WriteConnection),
    layer: Layer.succeedContext(connections),
    lastSeq: number("SELECT max(seq) FROM outbox"),
    /** Of the calls that have not ended, in milliseconds since 1970. */
    lastDueAt: number(`SELECT max(due_at) FROM submissions NATURAL LEFT JOIN
      (SELECT tenant_id, service_call_id, finished_at FROM service_calls) WHERE finished_at IS NULL`),
    /** What is still to be done. */
    openRows: number(`SELECT (SELECT count(*) FROM deliveries) + (SELECT count(*) FROM timer_schedules)
      + (SELECT count(*) FROM execution_attempts WHERE outcome IS NULL)
      + (SELECT count(*) FROM service_calls WHERE finished_at IS NULL)`),
    sealedForResend: number("SELECT count(*) FROM execution_attempts WHERE sealed_for_resend IS NOT NULL"),
    messages: () => database.prepare<MessageRow, []>("SELECT * FROM outbox ORDER BY seq").all(),
    calls: () => database.prepare<CallRow, []>("SELECT * FROM service_calls").all(),
    deadLetters: () => database.prepare<DeadLetterRow, []>("SELECT * FROM dead_letters").all(),
    rollback: () => {
      if (database.inTransaction) database.run("ROLLBACK")
    },
    /** As it was when it was new, which costs less than a new one. */
    wipe: () => {
      if (database.inTransaction) database.run("ROLLBACK")
      database.run("BEGIN; PRAGMA defer_foreign_keys = ON")
      for (const { name } of tables) database.run(`DELETE FROM ${name}`)
      database.run("DELETE FROM sqlite_sequence; COMMIT")
    },
    close: () => {
      Effect.runSync(Scope.close(scope, Exit.void))
      rmSync(folder, { recursive: true })
    }
  }
}
export type Disk = ReturnType<typeof openDisk>

/** That of `adapters/sqlite/transaction.ts`, with crashes and refusals between the steps. */
export const journalOf = (world: World, process: Process): Journal => {
  const { database, lastSeq, rollback, connection } = world.disk
  const sound = SqliteTransaction.journalOf(connection)
  const unlessDead = (step: () => void) => () => {
    if (!process.isAlive) throw new Error("the process is dead")
    step()
  }
  return {
    begin: () => {
      if (world.isOutage || world.strikes("begin fails")) throw new Error("disk I/O error")
      unlessDead(sound.begin)()
    },
    commit: () => {
      if (world.crashes("crash before a commit")) throw new Error("the process is dead")
      if (world.strikes("commit fails")) throw new Error("database or disk is full")
      unlessDead(sound.commit)()
      const seq = lastSeq()
      if (seq > (world.commits.at(-1)?.seq ?? 0)) world.commits.push({ seq, at: world.simulator.now })
      world.crashes("crash after a commit")
      if (world.strikes("a freeze after a commit")) world.freeze(world.random.between(1_000, 20_000))
      if (world.strikes("the clock jumps ahead after a commit")) world.setAhead(world.random.between(1_000, 60_000))
    },
    sync: () => undefined,
    rollback: unlessDead(sound.rollback),
    savepoint: unlessDead(sound.savepoint),
    releaseSavepoint: unlessDead(sound.releaseSavepoint),
    rollbackToSavepoint: unlessDead(sound.rollbackToSavepoint),
    writes: sound.writes,
    isActive: () => {
      if (process.isAlive && world.strikes("the storage ends a transaction")) rollback()
      return process.isAlive && database.inTransaction
    }
  }
}
