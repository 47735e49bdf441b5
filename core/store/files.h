/* files.h: contents by their hash under DIR/files, and the rows that say whose they are.
 *
 *   DIR/files/3f/3f9a…64 hexadecimal digits…   BLAKE2b-256 of the contents; written once, never changed
 *   perigee_file: one row for each upload; several rows may share one content
 *
 * A content is on disk, with its folder synced, before the row that names it is committed. What no row names
 * (a crash in between, deleted rows) is an orphan, and removed an hour later. */
#ifndef STORE_FILES_H
#define STORE_FILES_H

#include "store/db.h"

#define FILES_HASH 32
#define FILES_PATH 4300

struct file_row {
    int64_t id;
    unsigned char hash[FILES_HASH];
    int64_t size;
    struct str name, type, kind, entity; /* kind, entity: .p NULL without a record */
    int64_t record, document;            /* 0: none */
    int64_t edition;
    int64_t created_at, created_by;
};

/* ---- contents ---- */

bool files_path(const char *dir, const unsigned char hash[FILES_HASH], char path[FILES_PATH]);
/* Gives the synced file at `from` its place; when the content is there already, `from` is removed and the
 * content is young again. Syncs the folders. */
bool files_place(const char *dir, const char *from, const unsigned char hash[FILES_HASH], int64_t size,
                 struct error *e);
/* Whether the content lies there with that size. */
bool files_there(const char *dir, const unsigned char hash[FILES_HASH], int64_t size);
/* Makes a content young again, so that it is no orphan for an hour. */
void files_touch(const char *dir, const unsigned char hash[FILES_HASH]);
/* Calls `each` for contents that no row names and that are older than `age_s` seconds. `d` may be any
 * connection; false from `each` ends the walk. */
bool files_orphans(const char *dir, struct db *d, int64_t age_s,
                   bool (*each)(void *ctx, const unsigned char hash[FILES_HASH]), void *ctx, struct error *e);
/* Removes a content if it still is one of these. On the thread that commits rows, so that no row can come to
 * name it meanwhile. */
bool files_remove_orphan(const char *dir, struct db *d, const unsigned char hash[FILES_HASH], int64_t age_s,
                         struct error *e);

struct files_report {
    int64_t rows, contents; /* looked at */
    int64_t missing, wrong; /* rows whose content is not there; contents that are not what their name says */
    int64_t orphans;        /* contents without a row */
    char example[FILES_PATH]; /* of what is missing or wrong */
};

/* Reads every content and compares it with its name; compares rows and contents. */
bool files_check(const char *dir, struct db *d, struct files_report *out, struct error *e);

/* ---- rows ---- */

bool file_add(struct db *d, const struct file_row *f, struct error *e);
bool file_get(struct db *d, int64_t id, struct arena *arena, struct file_row *out, bool *found,
              struct error *e);
bool file_delete(struct db *d, int64_t id, struct error *e);
/* The newest edition of a document that is not `but`; 0: none. */
bool file_newest(struct db *d, int64_t document, int64_t but, int64_t *id, struct error *e);
/* Ids of a document's editions, newest first. */
bool file_editions(struct db *d, int64_t document, int64_t *ids, size_t most, size_t *n, struct error *e);
/* Bytes of all contents that rows name, each once. */
bool files_total(struct db *d, int64_t *bytes, struct error *e);

#endif
