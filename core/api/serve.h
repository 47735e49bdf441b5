/* serve.h: the running server, from opening the data folder to the last answer.
 *
 *   api_serve: folder, lock ─► scripts ─► database, migration ─► writer, slow pool ─► http ─► (signals) ─►
 * stop
 *
 * The command line fills a struct serve_options (serve_options_defaults first, then config.lua, then
 * its own flags) and calls api_serve once, on the main thread. */
#ifndef API_SERVE_H
#define API_SERVE_H

#include "access/session.h"
#include "courier/courier.h"
#include "http/server.h"
#include "script/script.h"

/* Strings are borrowed and must outlive api_serve. Times in milliseconds unless the name says so. */
struct serve_options {
    const char *data;      /* the data folder; created when missing */
    const char *address;   /* "127.0.0.1" */
    uint16_t port;         /* 8080; 0: any free one (logged, and written into DIR/perigee.port) */
    unsigned threads;      /* loop threads; 0: one for each core */
    unsigned slow_threads; /* readers of the slow lane; 0: as many as cores, at least 2 */
    bool dev;              /* reload when a script changes; errors in full */
    bool insecure;         /* listen on other than loopback without TLS in front */
    bool no_migrate;       /* refuse to start when the database must change first */
    struct script_config scripts;
    struct http_limits http;
    const struct str *trusted_proxies;
    size_t trusted_proxy_count;
    const char *const *http_allow; /* hosts that jobs of workflows may reach; NULL-ended, NULL: none */
    const struct address *open;    /* inner ranges that jobs and webhooks may reach */
    size_t open_count;
    const char *ca_file; /* certificates to trust; NULL: the system's */
    struct courier_mail mail;
    const char *time_zone;     /* the company's, for whoever has none of their own; "UTC" */
    const char *static_folder; /* the desk's files, served under "/"; NULL: the small page */
    struct session_times sessions;
    int64_t read_budget_us;        /* a read on a loop thread; past it the slow lane takes it (5,000) */
    int64_t slow_limit_ms;         /* a read in the slow lane; past it 422 query_limit (10,000) */
    size_t slow_queue;             /* reads that may wait for the slow lane; past it 503 (256) */
    size_t write_queue;            /* writes that may wait; past it 503 (4,096) */
    size_t write_batch;            /* writes in one commit (512) */
    size_t wal_bytes;              /* past it the log of the database is folded back (64 MiB) */
    int64_t import_bytes;          /* a file to import (1 GiB) */
    int64_t file_bytes;            /* one uploaded file (256 MiB) */
    const char *const *file_types; /* media types that uploads may have, whole families too; NULL: any */
    int64_t files_bytes;           /* all of them together; 0: as many as the disk holds */
    size_t batch_operations;       /* operations in one POST /batch (500) */
    int64_t grace_ms;              /* requests under way at a stop (10,000) */
};

void serve_options_defaults(struct serve_options *o);

/* Runs until SIGTERM or SIGINT (SIGHUP reloads the scripts). Returns the exit code: 0 stopped as
 * asked, 1 could not start or lost its database, 2 the scripts have mistakes (all printed to
 * stderr as "file:line: message"). */
int api_serve(const struct serve_options *options);

#endif
