/* principal.h: who is asking: a user with roles (their own and their groups'), the sets that macros
 * mean, and language and zone.
 *
 * Immutable after principal_load, reference-counted, shared between threads. Caches hold one for
 * each user and throw it away when the store's epoch or the catalog changes. */
#ifndef ACCESS_PRINCIPAL_H
#define ACCESS_PRINCIPAL_H

#include <pthread.h>

#include "store/catalog.h"
#include "store/filter.h"
#include "store/store.h"

struct principal {
    atomic_size_t references;
    struct arena arena;
    const struct catalog *catalog; /* held */
    int64_t epoch;
    int64_t valid_until; /* ms: an absence begins or ends then; INT64_MAX */
    int64_t id;          /* user; 0: the system itself (CLI, timers, crm.system) */
    struct str login, name;
    bool active;
    struct filter_env env; /* everything but `now` */
    const struct role **roles;
    size_t role_count;
    bool all_read, all_write; /* crm_read_admin, crm_admin; the system has both */
    struct str role_key; /* sorted role codes joined by ",", and how many directions, reports, … there are
                            (filter_shape): equal keys mean equal rules in equal SQL (plans are kept by it) */
    struct str roles_json, groups_json, directions_json; /* codes / ids, for /me */
    struct check_text *checks; /* rules.c: statements of access_check, by entity and action … */
    pthread_t thread;          /* … kept by the thread that loaded it alone */
    struct str scope;          /* of the token: "read" reads only; anything else: all */
};

/* Reads user `id` with roles (own and of groups; those that are not active grant nothing), groups,
 * directions (own, and of groups), partner, reports at any depth, as things stand at `now` (ms).
 *
 * Partner staff hold those roles alone that a script declares for partners, whatever was granted.
 *
 * A deputy has the relations of whoever is absent and names them: the absent person is in
 * env.my_absent, their directions and reports are among the deputy's. Roles stay one's own, and a
 * deputy's deputy gets nothing. Absent is a day from absent_from to absent_to, both included and in
 * the absent person's time zone; a missing end is open, and with neither nobody is absent.
 *
 * NULL with ERROR_NOT_FOUND or worse. */
struct principal *principal_load_at(struct db *d, const struct catalog *c, int64_t id, int64_t now,
                                    struct error *e);
/* The same, now. */
struct principal *principal_load(struct db *d, const struct catalog *c, int64_t id, struct error *e);

/* The system: everything allowed, nobody's name. Never NULL but for memory. */
struct principal *principal_system(const struct catalog *c, struct error *e);

struct principal *principal_ref(struct principal *p);
void principal_unref(struct principal *p);

bool principal_has_role(const struct principal *p, struct str code);

#endif
