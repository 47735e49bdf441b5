/* commit.c: the limit of writes: the same rows in bare SQLite, group commits of a given size,
 * synchronous=FULL.
 *
 *   commit DATABASE SECONDS GROUP ROWS [IDS]
 *
 * DATABASE is a copy of the product's: the same tables, indices and foreign keys. ROWS says what one write
 * consists of, one statement on three kinds of lines:
 *
 *   S sql with ?        i 42   s text   n   b hex     bound as they are
 *   (then its values)   k 42   an id: 42 + a step for each write       p OPP   a text: OPP and the number of
 * the write l      the next line of IDS (updates of existing records)
 *
 * Prints {"writes","seconds","commits","cpu"}; the checkpoint is passive, between two groups, as SQLite's own
 * default. */
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define STATEMENTS_MAX 64
#define VALUES_MAX 64
#define ID_STEP 64

struct value {
    char kind;
    int64_t number;
    char *text;
    int length;
};

struct statement {
    sqlite3_stmt *handle;
    struct value values[VALUES_MAX];
    int count;
};

static sqlite3 *db;
static struct statement statements[STATEMENTS_MAX];
static int statement_count;
static int64_t *ids, id_count;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "commit: %s: %s\n", what, db ? sqlite3_errmsg(db) : "failed");
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void exec(const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) die(sql);
}

/* ---- what is written ---- */

static void read_value(struct statement *s, const char *line)
{
    struct value *v = &s->values[s->count];
    if (s->count++ == VALUES_MAX) die("too many values");
    *v = (struct value){.kind = line[0], .text = strdup(line[0] && line[1] ? line + 2 : ""), .length = 0};
    if (!v->text) die("memory");
    v->number = strtoll(v->text, NULL, 10);
    v->length = (int)strlen(v->text);
    if (v->kind != 'b') return;
    for (int i = 0; i + 1 < v->length; i += 2) {
        unsigned byte;
        if (sscanf(v->text + i, "%2x", &byte) != 1) die("bad hex");
        v->text[i / 2] = (char)byte;
    }
    v->length /= 2;
}

static void read_rows(const char *path)
{
    static char line[1 << 16];
    FILE *f = fopen(path, "r");
    if (!f) die(path);
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != 'S') {
            if (statement_count == 0) die("a value before a statement");
            read_value(&statements[statement_count - 1], line);
            continue;
        }
        if (statement_count == STATEMENTS_MAX) die("too many statements");
        struct statement *s = &statements[statement_count++];
        if (sqlite3_prepare_v3(db, line + 2, -1, SQLITE_PREPARE_PERSISTENT, &s->handle, NULL) != SQLITE_OK)
            die(line);
    }
    fclose(f);
}

static void read_ids(const char *path)
{
    FILE *f = fopen(path, "r");
    long long id;
    ids = calloc(2000000, sizeof *ids);
    if (!f || !ids) die(path);
    while (id_count < 2000000 && fscanf(f, "%lld", &id) == 1)
        ids[id_count++] = id;
    fclose(f);
}

static void bind(sqlite3_stmt *s, int at, const struct value *v, int64_t n)
{
    char text[80];
    switch (v->kind) {
    case 'i': sqlite3_bind_int64(s, at, v->number); break;
    case 'k': sqlite3_bind_int64(s, at, v->number + n * ID_STEP); break;
    case 'l': sqlite3_bind_int64(s, at, ids[n % id_count]); break;
    case 's': sqlite3_bind_text(s, at, v->text, v->length, SQLITE_STATIC); break;
    case 'b': sqlite3_bind_blob(s, at, v->text, v->length, SQLITE_STATIC); break;
    case 'p':
        sqlite3_snprintf(sizeof text, text, "%s%09lld", v->text, (long long)n);
        sqlite3_bind_text(s, at, text, -1, SQLITE_TRANSIENT);
        break;
    case 'n': sqlite3_bind_null(s, at); break;
    default: die("unknown kind of value");
    }
}

static void write_one(int64_t n)
{
    for (int i = 0; i < statement_count; i++) {
        struct statement *s = &statements[i];
        for (int at = 0; at < s->count; at++)
            bind(s->handle, at + 1, &s->values[at], n);
        int code;
        while ((code = sqlite3_step(s->handle)) == SQLITE_ROW)
            continue;
        if (code != SQLITE_DONE) die(sqlite3_sql(s->handle));
        sqlite3_reset(s->handle);
    }
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: commit DATABASE SECONDS GROUP ROWS [IDS]\n");
        return 2;
    }
    double seconds = atof(argv[2]);
    int64_t group = atoll(argv[3]), n = 0, commits = 0;
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    if (sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        die(argv[1]);
    exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA "
         "mmap_size=2147418112;"
         "PRAGMA cache_size=-16384; PRAGMA secure_delete=FAST;");
    read_rows(argv[4]);
    if (argc > 5) read_ids(argv[5]);
    double begin = now(), used = cpu();
    do {
        exec("BEGIN IMMEDIATE");
        for (int64_t i = 0; i < group && (id_count == 0 || n < id_count); i++)
            write_one(n++);
        exec("COMMIT");
        commits++;
    } while (now() - begin < seconds && (id_count == 0 || n < id_count));
    printf("{\"writes\":%lld,\"seconds\":%.6f,\"commits\":%lld,\"cpu\":%.6f}\n", (long long)n, now() - begin,
           (long long)commits, cpu() - used);
    return 0;
}
