/* store_tables.h: the server's own tables, one list of statements for each format. Every table is STRICT;
 * times are milliseconds UTC; "user" columns hold ids of user records without a foreign key, since the table
 * of users comes later, from the scripts.
 *
 *   perigee_meta         small values of the installation: "secret" (64 hex digits, made once), "log_end"
 * (trail.c), … perigee_epoch        one row: rises when rights or settings change perigee_number       last
 * number given for each prefix perigee_schema       what each column, index and table of an entity was made
 * from (schema.h) perigee_log          the trail (trail.h); the index serves a record's timeline, seq being
 * the rowid perigee_outbox       jobs: 'waiting' ─► 'running' ─► 'done', or back to 'waiting' for another
 * attempt, or 'dead' perigee_run          what became of each attempt of a job perigee_timer        when each
 * `every` last ran perigee_migration    migrations of plugins that have run perigee_file         what lies
 * under DIR/files by its hash perigee_password, perigee_session, perigee_token   secrets, hashed
 *   perigee_idempotency  answers kept for repeated POSTs
 *   perigee_webhook      subscriptions (webhook.h)
 *   perigee_delivery     what was, or will be, sent to whom
 *   perigee_import       imports (imports.h): what was asked, how far they are, what came of it
 *   perigee_import_error what was wrong with which row of an import, or why a change was not taken back
 *
 * A format only adds to the one before, so an older folder is brought up by running the lists that it lacks.
 */
#ifndef STORE_TABLES_H
#define STORE_TABLES_H

static const char store_tables_1[] =
    "CREATE TABLE perigee_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"

    "CREATE TABLE perigee_epoch (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL) STRICT;"
    "INSERT INTO perigee_epoch (one, epoch) VALUES (1, 1);"

    "CREATE TABLE perigee_number (prefix TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;"

    "CREATE TABLE perigee_schema (kind TEXT NOT NULL, entity TEXT NOT NULL, name TEXT NOT NULL,"
    " made_from TEXT NOT NULL, PRIMARY KEY (kind, entity, name)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE perigee_log (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, who INTEGER NOT NULL,"
    " entity TEXT NOT NULL, record INTEGER NOT NULL, action TEXT NOT NULL, changes TEXT NOT NULL,"
    " why TEXT NOT NULL, script TEXT NOT NULL, request TEXT NOT NULL, hash BLOB NOT NULL) STRICT;"
    "CREATE INDEX perigee_log_record ON perigee_log (record, entity);"

    "CREATE TABLE perigee_outbox (id INTEGER PRIMARY KEY, job TEXT NOT NULL, args TEXT NOT NULL, key TEXT,"
    " state TEXT NOT NULL DEFAULT 'waiting'"
    "  CHECK (state IN ('waiting', 'running', 'done', 'dead', 'cancelled')),"
    " attempts INTEGER NOT NULL DEFAULT 0, due_at INTEGER NOT NULL, lease_until INTEGER NOT NULL DEFAULT 0,"
    " created_at INTEGER NOT NULL, created_by INTEGER NOT NULL, finished_at INTEGER NOT NULL DEFAULT 0,"
    " steps TEXT NOT NULL DEFAULT '{}', error TEXT) STRICT;"
    "CREATE UNIQUE INDEX perigee_outbox_key ON perigee_outbox (job, key)"
    " WHERE key IS NOT NULL AND state = 'waiting';"
    "CREATE INDEX perigee_outbox_due ON perigee_outbox (due_at) WHERE state = 'waiting';"
    "CREATE INDEX perigee_outbox_running ON perigee_outbox (lease_until) WHERE state = 'running';"
    "CREATE INDEX perigee_outbox_finished ON perigee_outbox (state, finished_at)"
    " WHERE state IN ('done', 'dead', 'cancelled');"

    "CREATE TABLE perigee_run (id INTEGER PRIMARY KEY, job INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    " started_at INTEGER NOT NULL, took_ms INTEGER NOT NULL, outcome TEXT NOT NULL, output TEXT, error TEXT,"
    " place TEXT) STRICT;"
    "CREATE INDEX perigee_run_job ON perigee_run (job);"

    "CREATE TABLE perigee_timer (name TEXT PRIMARY KEY, ran_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"

    "CREATE TABLE perigee_migration (plugin TEXT NOT NULL, name TEXT NOT NULL, at INTEGER NOT NULL,"
    " PRIMARY KEY (plugin, name)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE perigee_file (id INTEGER PRIMARY KEY, hash BLOB NOT NULL, size INTEGER NOT NULL,"
    " name TEXT NOT NULL, type TEXT NOT NULL, kind TEXT, entity TEXT, record INTEGER,"
    " created_at INTEGER NOT NULL, created_by INTEGER NOT NULL) STRICT;"
    "CREATE INDEX perigee_file_record ON perigee_file (record, entity) WHERE record IS NOT NULL;"
    "CREATE INDEX perigee_file_hash ON perigee_file (hash);"

    "CREATE TABLE perigee_password (user INTEGER PRIMARY KEY, hash TEXT NOT NULL,"
    " changed_at INTEGER NOT NULL) STRICT;"

    "CREATE TABLE perigee_session (hash BLOB PRIMARY KEY, user INTEGER NOT NULL, csrf BLOB NOT NULL,"
    " created_at INTEGER NOT NULL, seen_at INTEGER NOT NULL, expires_at INTEGER NOT NULL) STRICT, WITHOUT "
    "ROWID;"
    "CREATE INDEX perigee_session_user ON perigee_session (user);"

    "CREATE TABLE perigee_token (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, user INTEGER NOT NULL,"
    " name TEXT NOT NULL, scope TEXT NOT NULL, created_at INTEGER NOT NULL,"
    " expires_at INTEGER NOT NULL DEFAULT 0, used_at INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX perigee_token_user ON perigee_token (user);"

    "CREATE TABLE perigee_idempotency (user INTEGER NOT NULL, key TEXT NOT NULL, request BLOB NOT NULL,"
    " status INTEGER NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL, created_at INTEGER NOT NULL,"
    " PRIMARY KEY (user, key)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX perigee_idempotency_age ON perigee_idempotency (created_at);"

    "PRAGMA user_version = 1;";

/* first_seq … last_seq: the part of the log in which the import's own entries lie (their `request` is the
 * import's id), so that undoing it need not read the whole log. */
static const char store_tables_2[] =
    "CREATE TABLE perigee_import (id INTEGER PRIMARY KEY, user INTEGER NOT NULL, entity TEXT NOT NULL,"
    " options TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN"
    " ('queued', 'running', 'done', 'failed', 'undoing', 'undone')),"
    " position INTEGER NOT NULL DEFAULT 0, line INTEGER NOT NULL DEFAULT 1,"
    " done INTEGER NOT NULL DEFAULT 0, total INTEGER,"
    " created INTEGER NOT NULL DEFAULT 0, updated INTEGER NOT NULL DEFAULT 0,"
    " unchanged INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,"
    " restored INTEGER NOT NULL DEFAULT 0, removed INTEGER NOT NULL DEFAULT 0,"
    " kept INTEGER NOT NULL DEFAULT 0, detail TEXT, collections TEXT,"
    " first_seq INTEGER NOT NULL DEFAULT 0, last_seq INTEGER NOT NULL DEFAULT 0,"
    " undo_seq INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL, started_at INTEGER,"
    " finished_at INTEGER) STRICT;"
    "CREATE INDEX perigee_import_user ON perigee_import (user);"

    "CREATE TABLE perigee_import_error (import INTEGER NOT NULL, phase INTEGER NOT NULL,"
    " n INTEGER NOT NULL, row INTEGER NOT NULL, line INTEGER NOT NULL, pointer TEXT, code TEXT NOT NULL,"
    " message TEXT NOT NULL, record INTEGER, PRIMARY KEY (import, phase, n)) STRICT, WITHOUT ROWID;"

    "ALTER TABLE perigee_file ADD COLUMN document INTEGER;"
    "ALTER TABLE perigee_file ADD COLUMN edition INTEGER NOT NULL DEFAULT 1;"
    "CREATE INDEX perigee_file_document ON perigee_file (document) WHERE document IS NOT NULL;"

    "CREATE TABLE perigee_webhook (id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, url TEXT NOT NULL,"
    " topics TEXT NOT NULL, filter TEXT NOT NULL, description TEXT NOT NULL, secret TEXT NOT NULL,"
    " old_secret TEXT NOT NULL, old_until INTEGER NOT NULL, active INTEGER NOT NULL CHECK (active IN (0, 1)),"
    " since INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,"
    " failing_since INTEGER NOT NULL, disabled TEXT NOT NULL) STRICT;"

    "CREATE TABLE perigee_delivery (id INTEGER PRIMARY KEY, webhook INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " type TEXT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting'"
    "  CHECK (state IN ('waiting', 'delivered', 'failed')), attempts INTEGER NOT NULL DEFAULT 0,"
    " status INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '', created_at INTEGER NOT NULL,"
    " sent_at INTEGER NOT NULL DEFAULT 0, took_ms INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX perigee_delivery_webhook ON perigee_delivery (webhook, id);"
    "CREATE INDEX perigee_delivery_age ON perigee_delivery (created_at);"

    "PRAGMA user_version = 2;";

#endif
