/* import_undo.h: taking back what an import did, by the log: its own entries, last first. A record that the
 * import made is removed (deactivated while others refer to it), one that it changed gets its former values
 * back; what somebody else has changed since stays, and is said. Consequences count as the import's own:
 * tasks of chains, what hooks wrote. */
#ifndef RECORD_IMPORT_UNDO_H
#define RECORD_IMPORT_UNDO_H

#include "record/record.h"
#include "store/imports.h"

/* Goes back through the log from where *s stands until `budget_ns` is used up; *left false when all is
 * looked at (the state is "undone" then). Saves *s. In a transaction; `c` is a context of the system, hooks
 * off, whose `who` is whoever asked. Every record has a savepoint of its own. */
bool import_undo(struct context *c, struct import_state *s, uint64_t budget_ns, bool *left, struct error *e);

#endif
