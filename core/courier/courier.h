/* courier.h: the thread that carries things outside, beside everybody's work (design §3).
 *
 *   outbox ─► claim (by the writer) ─► job's function as a coroutine ─┬─ asks for a write ─► writer ─┐
 *    ▲  ▲                                   ▲                         ├─ asks for HTTP    ─► libcurl ─┤
 *    │  └ timers (`every`) become due       └─────── answer ──────────┴───────────────────────────────┘
 *    └─ done; or waiting for another attempt with backoff; or dead                 (all by the writer)
 *
 * It has its own loop, reading connection and Lua state; every write goes through the writer. At most
 * JOBS_AT_ONCE jobs are under way. What it claimed and did not finish is due again when the process starts
 * anew. */
#ifndef COURIER_COURIER_H
#define COURIER_COURIER_H

#include "http/address.h"
#include "script/script.h"
#include "store/writer.h"

struct courier;

struct courier_mail {
    const char *url;                    /* smtp://host:587 or smtps://host:465; NULL: no mail is sent */
    const char *user, *password, *from; /* from: "Perigee <crm@example.com>" */
    bool plain;                         /* no TLS: for a server on this machine */
};

struct courier_config {
    const char *path; /* of the database */
    const char *data; /* the data folder */
    struct writer *writer;
    const char *time_zone; /* of timers without a user */
    const char *const
        *http_allow; /* hosts that workflows may reach: "api.example.com", "*.example.com", "*"; NULL-ended */
    const struct address *open; /* inner ranges that may be reached */
    size_t open_n;
    const char *ca_file; /* NULL: the system's */
    struct courier_mail mail;

    void *ctx;
    /* The scripts in force, with a reference for the caller, and a number that changes with them. */
    struct script_set *(*scripts)(void *ctx, uint64_t *generation);
    uint64_t (*generation)(void *ctx);
    /* On the writer's thread: the script state and catalog of that thread, for what hooks a job's write sets
     * off. */
    bool (*lend)(void *ctx, void *writer_thread_data, const struct catalog **catalog,
                 struct script_state **script, struct plan_cache **plans);
};

/* Starts the thread. NULL with `e` filled. */
struct courier *courier_start(const struct courier_config *config, struct error *e);

/* Somebody committed: there may be something to do. Any thread; cheap. */
void courier_wake(struct courier *c);

/* Takes nothing new, lets what is under way end for at most `grace_ms`, then breaks it off (it is due again
 * at the next start), and joins the thread. Before writer_stop, since jobs write. NULL is allowed. */
void courier_stop(struct courier *c, int64_t grace_ms);
/* After everybody who might wake it has stopped. NULL is allowed. */
void courier_free(struct courier *c);

struct courier_stats {
    uint64_t done, retried, dead, timers, requests, mails;
    uint64_t under_way;
};
void courier_stats(struct courier *c, struct courier_stats *out);

#endif
