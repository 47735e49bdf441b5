/* checkpoint.h: moving the WAL back into the database file, beside the writer (design §3).
 *
 *   writer: commit ─► checkpoint_after_commit ─┬─ some MB are new: wakes the thread ─► PASSIVE, never in
 * anyone's way └─ past wal_max, thread idle: RESTART here, between two batches
 *
 * A passive checkpoint alone never catches up under steady writes, so the WAL would grow without end; the
 * restart finds nearly everything moved already and makes the next commit begin the file anew. */
#ifndef STORE_CHECKPOINT_H
#define STORE_CHECKPOINT_H

#include "store/db.h"

struct checkpoint;

/* `writer` is the writing connection (its WAL hook is taken); `path` is opened once more. Lives until stop.
 */
struct checkpoint *checkpoint_start(const char *path, struct db *writer, size_t wal_max, struct error *e);

/* On the writer thread, outside a transaction. Bounded: some milliseconds when a restart is due, else
 * nothing. */
void checkpoint_after_commit(struct checkpoint *c);

/* Bytes in the WAL after the last commit, and checkpoints done so far. On the writer thread. */
uint64_t checkpoint_wal_bytes(const struct checkpoint *c);
uint64_t checkpoint_count(const struct checkpoint *c);

/* On the writer thread or after it ended: ends the thread, empties the WAL as far as readers allow. NULL is
 * allowed. */
void checkpoint_stop(struct checkpoint *c);

#endif
