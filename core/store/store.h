/* store.h: the data folder and what lives in it.
 *
 *   DIR/perigee.db (+ -wal, -shm)   DIR/files/   DIR/spool/ (uploads under way)   DIR/perigee.pid (the
 * serving process)   mode 0700, umask 077
 *
 * The server's own tables have the prefix perigee_; each entity has a table of its own name, each
 * refs field a link table "<entity>.<field>" (owner, target). */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "store/db.h"

#define STORE_APPLICATION_ID 0x50657267 /* "Perg" in the database header */
#define STORE_FORMAT 2                  /* PRAGMA user_version of the server's own tables */

/* The folder and those above it, private (0700), where they are missing. */
bool store_make_folder(const char *dir, struct error *e);

/* Makes the folder (0700) when it is missing and gives DIR/perigee.db in `arena`. NULL with words
 * when it cannot. */
const char *store_path(const char *dir, struct arena *arena, struct error *e);

/* Creates or checks the server's own tables (perigee_meta, perigee_log, perigee_outbox,
 * perigee_file, perigee_password, perigee_session, perigee_token, perigee_idempotency,
 * perigee_epoch, perigee_number, perigee_schema, perigee_throttle …). Refuses a newer format. `d`
 * is a writing connection. */
bool store_prepare(struct db *d, struct error *e);

/* With `full`: integrity and references of the whole database and every link of the log, for doctor and
 * copies. Without, in bounded time, for a start: a quick check (of a large database only the server's own
 * tables) and the last links. */
bool store_check(struct db *d, bool full, struct error *e);

/* The epoch rises with each commit that changes users, groups, roles, rights or settings: caches of
 * principals and settings compare it (one cheap read) and renew themselves. store_epoch_bump
 * belongs into the changing transaction. */
bool store_epoch(struct db *d, int64_t *epoch, struct error *e);
bool store_epoch_bump(struct db *d, struct error *e);

/* Stays the same as long as this connection sees the same settings, also through savepoints that are rolled
 * back: what was read under it may be used again. Inside a transaction the epoch is read once. */
bool store_settings_version(struct db *d, uint64_t *version, struct error *e);

/* Small values of the installation: get fills *value (arena) or .p = NULL. */
bool store_meta_get(struct db *d, const char *key, struct arena *arena, struct str *value, struct error *e);
bool store_meta_set(struct db *d, const char *key, struct str value, struct error *e);

/* The installation's 32 secret bytes from which keys are derived (cursors); made by store_prepare
 * (meta "secret", hex). */
bool store_secret(struct db *d, unsigned char secret[32], struct error *e);

/* The next number of an entity: "OPP0000042" (prefix + 7 digits or more). In the writing
 * transaction. */
bool store_number_next(struct db *d, const char *prefix, struct arena *arena, struct str *number,
                       struct error *e);
/* A number that was given from outside: the next ones come after it. */
bool store_number_keep(struct db *d, const char *prefix, struct str number, struct error *e);

/* A copy as it is at this moment, for trying something out: neither checked nor synced. `to` is a new file.
 */
bool store_copy(struct db *d, const char *to, struct error *e);

/* Copies the data folder `dir`, which may be in use, into the new folder `to` (an existing one that is not
 * empty is refused), and checks the copy. `d` is a connection to its database. */
bool store_backup(struct db *d, const char *dir, const char *to, struct error *e);
/* Makes the data folder `dir`, which must be unused, from a backup. */
bool store_restore(const char *from, const char *dir, struct error *e);

#endif
