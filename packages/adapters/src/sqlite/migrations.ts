import type { Database } from "bun:sqlite"

/** "ESA1": marks a database file as ours. */
export const APPLICATION_ID = 0x45534131

/** Each is applied once, in its own transaction. The database's `user_version` is the number of those applied. */
export const migrations: ReadonlyArray<string> = [
  `
  CREATE TABLE outbox (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id      TEXT NOT NULL,
    type            TEXT NOT NULL,
    schema_version  INTEGER NOT NULL,
    tenant_id       TEXT NOT NULL,
    service_call_id TEXT NOT NULL,
    version         INTEGER NOT NULL,
    timestamp       INTEGER NOT NULL,
    correlation_id  TEXT NOT NULL,
    causation_id    TEXT,
    payload         TEXT NOT NULL,
    sealed          BLOB
  ) STRICT;
  CREATE INDEX outbox_sealed ON outbox (tenant_id, service_call_id) WHERE sealed IS NOT NULL;

  CREATE TABLE deliveries (
    consumer        TEXT NOT NULL,
    seq             INTEGER NOT NULL REFERENCES outbox,
    tenant_id       TEXT NOT NULL,
    service_call_id TEXT NOT NULL,
    attempts        INTEGER NOT NULL,
    available_at    INTEGER NOT NULL,
    PRIMARY KEY (consumer, seq)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE dead_letters (
    consumer        TEXT NOT NULL,
    seq             INTEGER NOT NULL REFERENCES outbox,
    tenant_id       TEXT NOT NULL,
    service_call_id TEXT NOT NULL,
    type            TEXT NOT NULL,
    attempts        INTEGER NOT NULL,
    error           TEXT NOT NULL,
    died_at         INTEGER NOT NULL,
    PRIMARY KEY (consumer, seq)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX dead_letters_of_call ON dead_letters (tenant_id, service_call_id);

  CREATE TABLE service_calls (
    tenant_id          TEXT NOT NULL,
    service_call_id    TEXT NOT NULL,
    revision           INTEGER NOT NULL,
    status             TEXT NOT NULL,
    name               TEXT NOT NULL,
    request            TEXT NOT NULL,
    sealed             BLOB,
    tags               TEXT NOT NULL,
    timeout_ms         INTEGER NOT NULL,
    on_unknown         TEXT NOT NULL,
    keep_request       INTEGER NOT NULL,
    correlation_id     TEXT NOT NULL,
    accepted_at        INTEGER NOT NULL,
    due_at             INTEGER NOT NULL,
    submitted_at       INTEGER NOT NULL,
    scheduled_at       INTEGER,
    is_due             INTEGER NOT NULL,
    started_at         INTEGER,
    attempt            INTEGER,
    attempt_started_at INTEGER,
    finished_at        INTEGER,
    lateness_ms        INTEGER,
    outcome            TEXT,
    PRIMARY KEY (tenant_id, service_call_id)
  ) STRICT;
  CREATE INDEX service_calls_by_acceptance ON service_calls (tenant_id, accepted_at, service_call_id);
  CREATE INDEX service_calls_by_status ON service_calls (tenant_id, status, accepted_at, service_call_id);
  CREATE INDEX service_calls_by_due ON service_calls (tenant_id, due_at);
  CREATE INDEX service_calls_waiting ON service_calls (tenant_id, due_at, accepted_at) WHERE is_due = 1;
  CREATE INDEX service_calls_in_flight ON service_calls (tenant_id) WHERE status = 'Running';

  CREATE TABLE service_call_tags (
    tenant_id       TEXT NOT NULL,
    tag             TEXT NOT NULL,
    accepted_at     INTEGER NOT NULL,
    service_call_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, tag, accepted_at, service_call_id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE submissions (
    tenant_id       TEXT NOT NULL,
    service_call_id TEXT NOT NULL,
    fingerprint     TEXT NOT NULL,
    accepted_at     INTEGER NOT NULL,
    due_at          INTEGER NOT NULL,
    name            TEXT NOT NULL,
    request         TEXT NOT NULL,
    tags            TEXT NOT NULL,
    timeout_ms      INTEGER NOT NULL,
    on_unknown      TEXT NOT NULL,
    correlation_id  TEXT NOT NULL,
    PRIMARY KEY (tenant_id, service_call_id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE timer_schedules (
    tenant_id       TEXT NOT NULL,
    service_call_id TEXT NOT NULL,
    due_at          INTEGER NOT NULL,
    version         INTEGER NOT NULL,
    correlation_id  TEXT NOT NULL,
    PRIMARY KEY (tenant_id, service_call_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX timer_schedules_by_due ON timer_schedules (due_at, tenant_id, service_call_id);

  CREATE TABLE execution_attempts (
    tenant_id       TEXT NOT NULL,
    service_call_id TEXT NOT NULL,
    number          INTEGER NOT NULL,
    process_id      TEXT NOT NULL,
    started_at      INTEGER NOT NULL,
    deadline_at     INTEGER NOT NULL,
    correlation_id  TEXT NOT NULL,
    causation_id    TEXT NOT NULL,
    outcome         TEXT,
    evidence        TEXT,
    PRIMARY KEY (tenant_id, service_call_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX execution_attempts_open ON execution_attempts (deadline_at, process_id) WHERE outcome IS NULL;
  `,
  // A call may have a second attempt; timers are found by tenant, so that one with many does not hold up the others.
  `
  CREATE INDEX timer_schedules_of_tenant ON timer_schedules (tenant_id, due_at, service_call_id);

  ALTER TABLE execution_attempts RENAME TO earlier_attempts;
  CREATE TABLE execution_attempts (
    tenant_id         TEXT NOT NULL,
    service_call_id   TEXT NOT NULL,
    number            INTEGER NOT NULL,
    process_id        TEXT NOT NULL,
    started_at        INTEGER NOT NULL,
    deadline_at       INTEGER NOT NULL,
    correlation_id    TEXT NOT NULL,
    causation_id      TEXT NOT NULL,
    sealed_for_resend BLOB,
    outcome           TEXT,
    evidence          TEXT,
    PRIMARY KEY (tenant_id, service_call_id, number)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO execution_attempts
    SELECT tenant_id, service_call_id, number, process_id, started_at, deadline_at, correlation_id, causation_id, NULL,
           outcome, evidence
    FROM earlier_attempts;
  DROP TABLE earlier_attempts;
  CREATE INDEX execution_attempts_open ON execution_attempts (deadline_at, process_id) WHERE outcome IS NULL;
  `,
  // Without foreign keys: for each message that is deleted, SQLite would walk through all that is not handled.
  `
  ALTER TABLE deliveries RENAME TO earlier_deliveries;
  CREATE TABLE deliveries (
    consumer        TEXT NOT NULL,
    seq             INTEGER NOT NULL,
    tenant_id       TEXT NOT NULL,
    service_call_id TEXT NOT NULL,
    attempts        INTEGER NOT NULL,
    available_at    INTEGER NOT NULL,
    PRIMARY KEY (consumer, seq)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO deliveries SELECT * FROM earlier_deliveries;
  DROP TABLE earlier_deliveries;

  ALTER TABLE dead_letters RENAME TO earlier_dead_letters;
  CREATE TABLE dead_letters (
    consumer        TEXT NOT NULL,
    seq             INTEGER NOT NULL,
    tenant_id       TEXT NOT NULL,
    service_call_id TEXT NOT NULL,
    type            TEXT NOT NULL,
    attempts        INTEGER NOT NULL,
    error           TEXT NOT NULL,
    died_at         INTEGER NOT NULL,
    PRIMARY KEY (consumer, seq)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO dead_letters SELECT * FROM earlier_dead_letters;
  DROP TABLE earlier_dead_letters;
  CREATE INDEX dead_letters_of_call ON dead_letters (tenant_id, service_call_id);
  `,
  // What came over a broker is looked up by its call. Messages that take effect at once have no row here.
  `
  CREATE INDEX deliveries_of_call ON deliveries (consumer, tenant_id, service_call_id);
  `,
  // Counts of calls by status and tag, kept by the database itself, whoever writes or prunes. A call may repeat another.
  // The horizon is the last event that was deleted: who has seen less has lost something.
  `
  ALTER TABLE submissions ADD COLUMN cloned_from TEXT;
  ALTER TABLE service_calls ADD COLUMN cloned_from TEXT;

  CREATE TABLE service_call_counts (
    tenant_id TEXT NOT NULL,
    kind      TEXT NOT NULL,
    name      TEXT NOT NULL,
    calls     INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, kind, name)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO service_call_counts SELECT tenant_id, 'status', status, count(*) FROM service_calls GROUP BY 1, 3;
  INSERT INTO service_call_counts SELECT tenant_id, 'tag', tag, count(*) FROM service_call_tags GROUP BY 1, 3;

  CREATE TRIGGER count_inserted_call AFTER INSERT ON service_calls BEGIN
    INSERT INTO service_call_counts VALUES (new.tenant_id, 'status', new.status, 1)
      ON CONFLICT DO UPDATE SET calls = calls + 1;
  END;
  CREATE TRIGGER count_changed_call AFTER UPDATE OF status ON service_calls WHEN new.status <> old.status BEGIN
    UPDATE service_call_counts SET calls = calls - 1
      WHERE tenant_id = old.tenant_id AND kind = 'status' AND name = old.status;
    INSERT INTO service_call_counts VALUES (new.tenant_id, 'status', new.status, 1)
      ON CONFLICT DO UPDATE SET calls = calls + 1;
  END;
  CREATE TRIGGER count_deleted_call AFTER DELETE ON service_calls BEGIN
    UPDATE service_call_counts SET calls = calls - 1
      WHERE tenant_id = old.tenant_id AND kind = 'status' AND name = old.status;
  END;
  CREATE TRIGGER count_inserted_tag AFTER INSERT ON service_call_tags BEGIN
    INSERT INTO service_call_counts VALUES (new.tenant_id, 'tag', new.tag, 1)
      ON CONFLICT DO UPDATE SET calls = calls + 1;
  END;
  CREATE TRIGGER count_deleted_tag AFTER DELETE ON service_call_tags BEGIN
    UPDATE service_call_counts SET calls = calls - 1
      WHERE tenant_id = old.tenant_id AND kind = 'tag' AND name = old.tag;
    DELETE FROM service_call_counts
      WHERE tenant_id = old.tenant_id AND kind = 'tag' AND name = old.tag AND calls = 0;
  END;

  CREATE TABLE event_horizon (seq INTEGER NOT NULL) STRICT;
  INSERT INTO event_horizon SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0);
  CREATE TRIGGER move_event_horizon AFTER DELETE ON outbox WHEN old.type LIKE 'ServiceCall%' BEGIN
    UPDATE event_horizon SET seq = old.seq WHERE seq < old.seq;
  END;
  `,
  // An executor elsewhere goes on with its attempt when the process that granted it ends.
  `
  ALTER TABLE execution_attempts ADD COLUMN is_remote INTEGER NOT NULL DEFAULT 0;
  `,
  // Keys, and what each tenant's calls hold: counted by the database itself, whoever writes or prunes.
  `
  CREATE TABLE api_keys (
    key_id      TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    scopes      TEXT NOT NULL,
    label       TEXT,
    secret_hash BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    revoked_at  INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX api_keys_of_tenant ON api_keys (tenant_id, created_at, key_id);

  CREATE TABLE stored_bytes (
    tenant_id TEXT PRIMARY KEY,
    bytes     INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  INSERT INTO stored_bytes
    SELECT tenant_id, sum(octet_length(request) + coalesce(octet_length(sealed), 0) + coalesce(octet_length(outcome), 0))
    FROM service_calls GROUP BY tenant_id;

  CREATE TRIGGER add_stored_bytes AFTER INSERT ON service_calls BEGIN
    INSERT INTO stored_bytes VALUES (new.tenant_id,
        octet_length(new.request) + coalesce(octet_length(new.sealed), 0) + coalesce(octet_length(new.outcome), 0))
      ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
  END;
  CREATE TRIGGER change_stored_bytes AFTER UPDATE OF sealed, outcome ON service_calls
    WHEN (new.outcome IS NULL) <> (old.outcome IS NULL) OR (new.sealed IS NULL) <> (old.sealed IS NULL) BEGIN
    UPDATE stored_bytes SET bytes = bytes
        + coalesce(octet_length(new.sealed), 0) + coalesce(octet_length(new.outcome), 0)
        - coalesce(octet_length(old.sealed), 0) - coalesce(octet_length(old.outcome), 0)
      WHERE tenant_id = new.tenant_id;
  END;
  CREATE TRIGGER take_stored_bytes AFTER DELETE ON service_calls BEGIN
    UPDATE stored_bytes SET bytes = bytes
        - octet_length(old.request) - coalesce(octet_length(old.sealed), 0) - coalesce(octet_length(old.outcome), 0)
      WHERE tenant_id = old.tenant_id;
  END;
  `,
  // The span that goes on where the row is read, while spans are exported.
  `
  ALTER TABLE outbox ADD COLUMN traceparent TEXT;
  ALTER TABLE timer_schedules ADD COLUMN traceparent TEXT;
  ALTER TABLE service_calls ADD COLUMN traceparent TEXT;
  ALTER TABLE execution_attempts ADD COLUMN traceparent TEXT;
  `,
  // Tells two agents apart that share a secret key.
  `
  CREATE TABLE installation (id TEXT NOT NULL) STRICT;
  INSERT INTO installation VALUES (lower(hex(randomblob(8))));
  `,
  // What a call holds is also its name and its tags. Keys are deleted some time after their end.
  `
  DROP TRIGGER add_stored_bytes;
  DROP TRIGGER change_stored_bytes;
  DROP TRIGGER take_stored_bytes;
  DELETE FROM stored_bytes;
  INSERT INTO stored_bytes
    SELECT tenant_id, sum(octet_length(name) + octet_length(request) + octet_length(tags)
      + coalesce(octet_length(sealed), 0) + coalesce(octet_length(outcome), 0))
    FROM service_calls GROUP BY tenant_id;

  CREATE TRIGGER add_stored_bytes AFTER INSERT ON service_calls BEGIN
    INSERT INTO stored_bytes VALUES (new.tenant_id,
        octet_length(new.name) + octet_length(new.request) + octet_length(new.tags)
        + coalesce(octet_length(new.sealed), 0) + coalesce(octet_length(new.outcome), 0))
      ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
  END;
  CREATE TRIGGER change_stored_bytes AFTER UPDATE OF tags, sealed, outcome ON service_calls
    WHEN (new.outcome IS NULL) <> (old.outcome IS NULL) OR (new.sealed IS NULL) <> (old.sealed IS NULL)
      OR new.tags <> old.tags BEGIN
    UPDATE stored_bytes SET bytes = bytes
        + octet_length(new.tags) + coalesce(octet_length(new.sealed), 0) + coalesce(octet_length(new.outcome), 0)
        - octet_length(old.tags) - coalesce(octet_length(old.sealed), 0) - coalesce(octet_length(old.outcome), 0)
      WHERE tenant_id = new.tenant_id;
  END;
  CREATE TRIGGER take_stored_bytes AFTER DELETE ON service_calls BEGIN
    UPDATE stored_bytes SET bytes = bytes
        - octet_length(old.name) - octet_length(old.request) - octet_length(old.tags)
        - coalesce(octet_length(old.sealed), 0) - coalesce(octet_length(old.outcome), 0)
      WHERE tenant_id = old.tenant_id;
  END;

  CREATE INDEX api_keys_by_end ON api_keys (coalesce(min(revoked_at, expires_at), revoked_at, expires_at));
  `,
  // Databases that were made before it was part of the second migration lack it.
  `
  CREATE INDEX IF NOT EXISTS timer_schedules_of_tenant ON timer_schedules (tenant_id, due_at, service_call_id);
  `
]

/** Brings an empty or older database of ours to the current schema. Throws for any other file. */
export const migrate = (database: Database): void => {
  const version = Number(readPragma(database, "user_version"))
  const applicationId = readPragma(database, "application_id")
  const tables = database.query<{ count: number }, []>("SELECT count(*) AS count FROM sqlite_schema").get()?.count ?? 0
  const isEmpty = applicationId === 0 && version === 0 && tables === 0
  if (!isEmpty && applicationId !== APPLICATION_ID) {
    throw new Error("it is a database of another program; choose another DB_PATH")
  }
  if (version > migrations.length) {
    throw new Error(
      `its schema is version ${version}, this program knows ${migrations.length}; start the newer program`
    )
  }
  for (const [index, sql] of migrations.entries()) {
    if (index < version) continue
    database.transaction(() => {
      database.run(sql)
      database.run(`PRAGMA application_id = ${APPLICATION_ID}`)
      database.run(`PRAGMA user_version = ${index + 1}`)
    })()
  }
}

export const readPragma = (database: Database, name: string): number | string | undefined => {
  const row = database.query<Record<string, number | string>, []>(`PRAGMA ${name}`).get()
  return row === null ? undefined : Object.values(row)[0]
}
