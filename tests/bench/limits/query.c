/* query.c: the limit of lists, searches and boards: the same SQL stepped in C, every column read, no HTTP.
 *
 *   query DATABASE THREADS SECONDS SQL
 *
 * SQL is a file with one query or several, separated by lines "--"; a round runs all of them (a board is
 * several). Each thread has a connection with the settings of the product (mmap, cache) and statements that
 * are prepared once. Prints
 * {"rounds","seconds","rows","cpu","first"}: rows in all, seconds of CPU, the first column of the first
 * round's rows. */
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define QUERIES_MAX 64

static const char *path;
static char *texts[QUERIES_MAX];
static int text_count;
static double seconds;
static atomic_ullong rounds, rows, sink;

static _Noreturn void die(const char *what, sqlite3 *db)
{
    fprintf(stderr, "query: %s: %s\n", what, db ? sqlite3_errmsg(db) : "failed");
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned long long read_row(sqlite3_stmt *s)
{
    unsigned long long sum = 0;
    for (int i = 0, n = sqlite3_column_count(s); i < n; i++) {
        if (sqlite3_column_type(s, i) == SQLITE_INTEGER)
            sum += (unsigned long long)sqlite3_column_int64(s, i);
        else if (sqlite3_column_type(s, i) == SQLITE_TEXT)
            sum += (unsigned long long)sqlite3_column_text(s, i)[0];
    }
    return sum;
}

static void print_first(sqlite3_stmt *s, bool *some)
{
    printf("%s\"%s\"", *some ? "," : "", (const char *)sqlite3_column_text(s, 0));
    *some = true;
}

static sqlite3 *open_database(sqlite3_stmt **statements)
{
    sqlite3 *db;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        die(path, db);
    if (sqlite3_exec(db, "PRAGMA mmap_size=2147418112; PRAGMA cache_size=-8192; PRAGMA temp_store=MEMORY;",
                     NULL, NULL, NULL) != SQLITE_OK)
        die("settings", db);
    for (int i = 0; i < text_count; i++)
        if (sqlite3_prepare_v3(db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i], NULL) !=
            SQLITE_OK)
            die(texts[i], db);
    return db;
}

static void run_round(sqlite3 *db, sqlite3_stmt **statements, unsigned long long *count, bool print,
                      bool *some)
{
    unsigned long long sum = 0;
    int code;
    if (sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        die("begin", db); /* one snapshot, as the product */
    for (int i = 0; i < text_count; i++) {
        while ((code = sqlite3_step(statements[i])) == SQLITE_ROW) {
            sum += read_row(statements[i]);
            ++*count;
            if (print) print_first(statements[i], some);
        }
        if (code != SQLITE_DONE) die("step", db);
        sqlite3_reset(statements[i]);
    }
    if (sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) die("commit", db);
    atomic_fetch_add(&sink, sum);
}

static void close_database(sqlite3 *db, sqlite3_stmt **statements)
{
    for (int i = 0; i < text_count; i++)
        sqlite3_finalize(statements[i]);
    sqlite3_close(db);
}

static void *run(void *arg)
{
    sqlite3_stmt *statements[QUERIES_MAX];
    sqlite3 *db = open_database(statements);
    unsigned long long done = 0, count = 0;
    double end = now() + seconds;
    (void)arg;
    do {
        run_round(db, statements, &count, false, NULL);
        done++;
    } while (now() < end);
    atomic_fetch_add(&rounds, done);
    atomic_fetch_add(&rows, count);
    close_database(db, statements);
    return NULL;
}

static void read_texts(const char *file)
{
    FILE *f = fopen(file, "rb");
    static char text[1 << 20];
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (!f || n == 0) die(file, NULL);
    fclose(f);
    for (char *p = text; p && text_count < QUERIES_MAX;) {
        texts[text_count++] = p;
        char *cut = strstr(p, "\n--\n");
        if (cut) *cut = '\0';
        p = cut ? cut + 4 : NULL;
    }
}

static double cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    pthread_t threads[64];
    if (argc != 5) {
        fprintf(stderr, "usage: query DATABASE THREADS SECONDS SQL\n");
        return 2;
    }
    path = argv[1];
    int n = atoi(argv[2]);
    seconds = atof(argv[3]);
    read_texts(argv[4]);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_initialize();
    printf("{\"first\":[");
    sqlite3_stmt *statements[QUERIES_MAX];
    sqlite3 *db = open_database(statements);
    unsigned long long ignored = 0;
    bool some = false;
    run_round(db, statements, &ignored, true, &some);
    close_database(db, statements);
    double begin = now(), used = cpu();
    for (int i = 0; i < n && i < 64; i++)
        if (pthread_create(&threads[i], NULL, run, NULL) != 0) die("thread", NULL);
    for (int i = 0; i < n && i < 64; i++)
        pthread_join(threads[i], NULL);
    printf("],\"rounds\":%llu,\"rows\":%llu,\"seconds\":%.6f,\"cpu\":%.6f}\n", atomic_load(&rounds),
           atomic_load(&rows), now() - begin, cpu() - used);
    return 0;
}
