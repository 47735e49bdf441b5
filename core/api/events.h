/* events.h: what events.c (the life of streams) and event_feed.c (what they are told) share. Everything
 * belongs to the thread of its loop, except `posted` and `next` (guarded by app.lock). */
#ifndef API_EVENTS_H
#define API_EVENTS_H

#include "api/app.h"

#include <uv.h>

struct topic {
    const char *collection;
    const struct entity *entity; /* in the worker's catalog; NULL: no longer declared */
    int64_t id;                  /* 0: all of the collection */
};

struct subscriber {
    struct subscriber *next, *prev;
    struct call *call;  /* its exchange, credentials and arena */
    int64_t position;   /* of the log: what it has seen */
    uint64_t beat;      /* ms: its last comment */
    bool gone, blocked; /* the client has left; it must read before it gets more */
    size_t topic_count;
    struct topic topics[];
};

struct feed_entry {
    int64_t seq, at, who, record;
    const struct entity *entity; /* NULL: concerns no record, or no declared entity */
    struct str action;
    const struct field **changed;
    size_t changed_count;
};

/* A piece of the log, shared by all streams that are at the same place. */
struct feed_page {
    struct arena arena;
    struct feed_entry *entries;
    size_t count;
    int64_t after, last; /* entries with after < seq <= last are here; equal: nothing */
};

struct events {
    struct events *next;
    struct worker *worker;
    uv_timer_t poll;
    struct subscriber *first, *resume; /* where the next pump goes on; NULL: at the first */
    uint64_t generation;               /* of the catalog that topics point into */
    int64_t data_version, end;         /* the newest position of the log */
    atomic_bool posted;
    struct feed_page page;
};

void feed_init(struct events *ev);
void feed_forget(struct events *ev);
void feed_free(struct events *ev);
/* Gives a stream what is new until it is at ev->end, is blocked, or `until` (clock_mono) has passed. False:
 * it is over. */
bool feed_serve(struct events *ev, struct subscriber *s, uint64_t until);
/* Whether its token or session is still good. */
bool feed_allowed(struct events *ev, struct subscriber *s);

#endif
