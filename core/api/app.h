/* app.h: what the files of api/ share. Nobody outside includes it.
 *
 *   exchange ─► dispatch.c: which endpoint, who, is it well formed ─► a lane ─► handler ─► answer.c ─►
 * exchange
 *
 *   LANE_READ   the loop thread itself, its own connection, a few milliseconds; then LANE_SLOW takes over
 *   LANE_SLOW   a small pool of reader threads, seconds (lanes.c)
 *   LANE_WRITE  the store's writer, inside a savepoint (write.c)
 *   LANE_LOOP   the loop thread, without a snapshot: streams and pages
 *
 * One struct call is one request. It lives in the arena of its exchange and is touched by one thread at a
 * time: its loop, then the lane that runs it, then its loop again, which sends the answer. */
#ifndef API_APP_H
#define API_APP_H

#include "api/serve.h"
#include "base/calendar.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/suggest.h"
#include "courier/courier.h"
#include "http/static.h"
#include "store/writer.h"

#include <pthread.h>

#define ANSWER_MAX ((size_t)64 << 20) /* bytes of one answer in memory */

struct call;
struct events;   /* events.c: the event streams of one loop */
struct pool;     /* lanes.c */
struct importer; /* import_run.c */
struct watch;    /* reload.c */

/* ── The process ─────────────────────────────────────────────────────────────────────────────── */

#define ENDPOINTS_MAX 96
#define LATENCY_BUCKETS 12

/* Counters of one thread; only that thread adds, anybody reads. */
struct meter {
    struct {
        atomic_uint_fast64_t status[6]; /* answers by class */
        atomic_uint_fast64_t bucket[LATENCY_BUCKETS];
        atomic_uint_fast64_t nanoseconds;
    } endpoint[ENDPOINTS_MAX + 1]; /* the last one: no endpoint */
    struct {
        atomic_uint_fast64_t calls, aborts, nanoseconds;
    } script[SCRIPT_KIND_COUNT];
    struct meter_hooks *_Atomic hooks; /* metrics_hooks.c; NULL: no script has run here */
    atomic_uint_fast64_t slowed;       /* reads that outlived their budget here */
    atomic_int_fast64_t streams;       /* event streams open */
};

#define METERS_MAX 160

struct app {
    const struct serve_options *options;
    const char *path; /* of the database */
    struct http_server *http;
    struct writer *writer;
    struct courier *_Atomic courier; /* NULL: not started yet */
    struct pool *pool;
    struct result_cache *results; /* what readers have counted */
    _Atomic(struct importer *) importer;
    struct throttle *throttle;
    struct http_static *files; /* NULL: page.c answers */
    int64_t started;           /* wall clock */
    atomic_bool ready, stopping;
    atomic_uint_fast64_t probed; /* clock_mono of the last row written to see whether one can be (health.c) */

    pthread_mutex_t lock;            /* guards set, meters, events */
    struct script_set *set;          /* in force */
    atomic_uint_fast64_t generation; /* of `set`; threads compare and renew themselves */
    struct meter *meters[METERS_MAX];
    atomic_uint meter_count;
    struct reload *reload;        /* reload.c */
    struct events *events;        /* of all loops */
    atomic_uint_fast64_t commits; /* of the writer; rises before anybody is answered */
};

/* ── A thread that runs calls ────────────────────────────────────────────────────────────────── */

struct worker {
    struct app *app;
    struct db *db; /* this thread's connection (the writer's is lent) */
    bool owns_db;
    struct script_set *set; /* held */
    struct script_state *script;
    struct plan_cache *plans;
    struct principal_cache *principals;
    uint64_t generation;
    bool snapshot;      /* a loop's, open for this turn of it (worker_snapshot) … */
    uint64_t commits;   /* … and what it has seen of app->commits */
    bool doubtful;      /* the last commit failed: what was cached inside it may never have been */
    struct buf scratch; /* answers made on a loop: copied by http_send, used again */
    struct meter *meter;
    struct http_loop *loop; /* NULL on other threads */
    struct events *events;  /* of a loop */
};

/* Opens a worker: a reader of its own when `lent` is NULL. NULL with `e` filled. Any thread. */
struct worker *worker_open(struct app *app, struct db *lent, struct error *e);
void worker_close(struct worker *w); /* NULL is allowed */
/* One snapshot for what is read next, which sees every change that was answered already. On a loop it is
 * shared by all that comes in one turn: a read transaction costs four locks in the kernel, and the mutex
 * before them is one for all threads. Ended by worker_snapshot_end, on a loop at the end of the turn at the
 * latest. */
bool worker_snapshot(struct worker *w, struct error *e);
/* A loop keeps it for the next call unless something went wrong; other threads end it. */
void worker_snapshot_leave(struct worker *w, bool ok);
void worker_snapshot_end(struct worker *w);
/* Takes over the scripts in force, if they changed; on failure the old ones stay (logged). */
void worker_renew(struct worker *w);
/* Same, with a set that is not in force yet (the writer, before the swap). */
bool worker_take(struct worker *w, struct script_set *set, uint64_t generation, struct error *e);

/* ── Endpoints ───────────────────────────────────────────────────────────────────────────────── */

enum lane { LANE_LOOP, LANE_READ, LANE_SLOW, LANE_WRITE };

enum endpoint_flags {
    OPEN = 1,         /* nobody has to be signed in */
    BODY = 2,         /* a JSON body is needed */
    BODY_MAY = 4,     /* a JSON body may be there */
    NOT_IN_BATCH = 8, /* cannot be an operation of /batch */
    NO_REPLAY = 16,   /* its answer holds a secret: not kept for Idempotency-Key */
    PATCHES = 32,     /* application/merge-patch+json is welcome too */
    HIDDEN = 64,      /* not in openapi.json: pages for people */
    UPLOAD = 128      /* its body goes to a file (upload.c); in LANE_READ, never in a batch */
};

struct endpoint {
    enum http_method method;
    const char *path; /* "/api/v1/{collection}/{id}"; captures by name */
    enum lane lane;
    unsigned flags;
    const char *parameters; /* of the query, separated by spaces; "" none; dry_run is added to writes */
    bool (*handle)(struct call *c);
    const char *words;   /* one line for the API reference */
    const char *request; /* name of the schema of the body in openapi.c; NULL: none */
    const char *answer;  /* name of the schema of the 2xx answer; NULL: no body */
    int status;          /* of success */
};

struct endpoint_table {
    const struct endpoint *first;
    size_t count;
};

/* One for each file that has endpoints; routes.c gathers them. */
extern const struct endpoint_table records_endpoints, board_endpoints, actions_endpoints, timeline_endpoints,
    sessions_endpoints, tokens_endpoints, feed_endpoints, password_endpoints, me_endpoints, schema_endpoints,
    openapi_endpoints, batch_endpoints, events_endpoints, health_endpoints, metrics_endpoints, jobs_endpoints,
    webhooks_endpoints, reload_endpoints, imports_endpoints, files_endpoints, page_endpoints;

#define CAPTURES_MAX 4
#define SEGMENTS_MAX 8

struct capture {
    const char *name; /* "collection" */
    struct str value;
};

struct match {
    const struct endpoint *endpoint; /* NULL: none with that method */
    size_t number;                   /* of the endpoint, for the meter */
    bool known;                      /* the path exists, if only with other methods (`methods`) */
    unsigned methods;                /* bits of enum http_method */
    struct capture captures[CAPTURES_MAX];
    size_t capture_count;
};

void routes_match(enum http_method method, struct str path, struct match *out);
/* Number n of all endpoints, NULL past the end. */
const struct endpoint *routes_nth(size_t n);
/* "GET, HEAD, OPTIONS" for such bits, in `arena`. */
const char *routes_allow(unsigned methods, struct arena *arena);

/* Routes that scripts declared (script_routes.c): the endpoint that runs one, or NULL. `methods`
 * gets the methods under which this path is declared. */
const struct endpoint *script_routes_match(const struct catalog *catalog, enum http_method method,
                                           struct str path, unsigned *methods);

/* ── A request ───────────────────────────────────────────────────────────────────────────────── */

struct parameter {
    struct parameter *next;
    struct str name, value;
};

struct answer_field {
    struct answer_field *next;
    struct str name, value;
};

struct call {
    struct app *app;
    struct http_exchange *x;          /* NULL: an operation of a batch */
    const struct call *parent;        /* the batch; NULL */
    const struct json_value *headers; /* of an operation of a batch */
    struct worker *worker;            /* whose thread runs it now */
    struct worker *home;              /* of its loop */
    struct arena *arena;
    struct error error;
    enum http_method method;
    struct str path;
    struct match match;
    const struct endpoint *endpoint;
    struct parameter *parameters;
    const struct json_value *body; /* NULL: none */
    struct str body_text;

    enum lang lang;
    struct str bearer, session; /* who says to be asking; .p NULL */
    int64_t token_id;
    struct principal *who; /* held while a lane runs; NULL: nobody */
    struct context context;
    const struct entity *entity; /* of {collection}, in the worker's catalog */
    int64_t id;                  /* of {id} */
    bool admitted;               /* parameters and body were read */
    bool lang_given;             /* by Accept-Language; else the user's is taken */
    bool dry_run, minimal;
    bool heavy; /* a read that outlived its budget, an export */
    enum lane lane;
    bool (*handle)(struct call *c);
    bool (*then)(struct call *c); /* set by call_continue */
    enum lane then_lane;
    bool detached;                /* the handler took the exchange over (streams) */
    void (*back)(struct call *c); /* on the loop after a lane, instead of sending; NULL */
    void *data;                   /* the handler's, across lanes */
    struct upload *upload;        /* the body, of an endpoint with UPLOAD; NULL: it had none */
    int64_t upload_limit;

    int status;
    const char *content_type;
    struct answer_field *fields;
    struct buf own, *out; /* the body */

    struct write_job job;
    struct call *next; /* the pool's queue */
};

/* Query parameters, header fields and captures; .p == NULL when not given. */
struct str call_parameter(const struct call *c, const char *name);
struct str call_header(const struct call *c, const char *name);
struct str call_capture(const struct call *c, const char *name);
/* "true"/"1" … ; anything but a boolean is 400. */
bool call_flag(struct call *c, const char *name, bool *value);
/* A whole number within bounds, `missing` when not given; otherwise 400. */
bool call_number(struct call *c, const char *name, int64_t least, int64_t most, int64_t missing,
                 int64_t *value);

/* A member of the body: text; value->p == NULL when absent and not required. Otherwise 422 with its pointer.
 */
bool call_text(struct call *c, const char *member, bool required, size_t most, struct str *value);
/* 400 for members of the body other than these (separated by spaces). */
bool call_members(struct call *c, const char *known);

void call_field(struct call *c, const char *name, struct str value);
void call_etag(struct call *c, int64_t version);
/* Status and an empty body. Always true. */
bool call_empty(struct call *c, int status);
/* Status with the JSON that is in c->out. Always true. */
bool call_json(struct call *c, int status);
/* False, with the reason, when the answer in c->out has outgrown ANSWER_MAX. */
bool call_fits(struct call *c);
/* Goes on in another lane with another function (after SLOW work, a WRITE). Always true. */
bool call_continue(struct call *c, enum lane lane, bool (*handle)(struct call *c));
/* The record as it is now, as the answer: ETag, Location for 201, nothing for return=minimal. */
bool call_record(struct call *c, int status, const struct entity *entity, int64_t id);
/* What If-Match asks of record `id`: 0 anything, else a version (-1: one that no record has). */
bool call_expected(struct call *c, const struct entity *entity, int64_t id, int64_t *version);
bool call_is_admin(const struct call *c);

/* Parameters and preferences; the JSON of the body. False: c->error. */
bool call_prepare(struct call *c, struct str query);
bool call_parse_body(struct call *c);

/* ── Steps ───────────────────────────────────────────────────────────────────────────────────── */

/* auth.c: credentials of the request; who they are on this worker, CSRF and scope; 401, 403. */
void auth_credentials(struct call *c);
bool auth_check(struct call *c);
/* Notes that token or session was used, at most once a minute, by a write of its own. */
void auth_touch(struct call *c);
/* Gives the browser its session; `seconds` 0 takes it away. */
void auth_cookie(struct call *c, const char *secret, int64_t seconds);

/* lanes.c */
struct pool *pool_start(struct app *app, unsigned threads, struct error *e);
void pool_stop(struct pool *p);
size_t pool_depth(struct pool *p);
/* Sends a call to its lane; answers 503 when that is full. On the loop. */
void lane_enter(struct call *c);
/* On this worker, inside one snapshot: who asks, is it well formed (the first time), then `handle`
 * (may be NULL: only that). False: c->error, and the problem is already the answer unless its kind
 * is ERROR_BUSY (the budget ran out). */
bool lane_run(struct call *c, struct worker *w, bool (*handle)(struct call *c));
/* Gives the call back to its loop, which sends the answer or enters the next lane. Any thread. */
void lane_back(struct call *c);

/* enter.c: who, context, entity and id on this worker; and their end. */
bool call_enter(struct call *c, struct worker *w);
bool call_target(struct call *c);
void call_leave(struct call *c);
void call_context(struct call *c);

/* send.c: on the loop: sends what the call has for an answer; the call is gone. */
void call_send(struct call *c);

/* me.c: the caller, as GET /me shows them. */
bool me_write(struct call *c, struct buf *b);

/* export.c: the whole of a list, streamed. In LANE_READ; takes the call over. */
bool export_begin(struct call *c, bool csv);
/* records.c: the query that the parameters of a list describe. */
struct query records_query(struct call *c);

/* schema_views.c: the member "views" of an entity in GET /schema. */
bool schema_views(struct call *c, const struct entity *e);

/* ── Bodies in files (upload.c) ──────────────────────────────────────────────────────────────── */

#define UPLOAD_HASH 32 /* bytes of BLAKE2b */

struct upload {
    char path[4200]; /* DIR/spool/…; removed with the call unless upload_keep was called */
    int64_t size;
    char hash[2 * UPLOAD_HASH + 1]; /* hexadecimal */
};

/* For the handler of an UPLOAD endpoint, before the body: takes at most `limit` bytes, then goes on in `lane`
 * with `handle`, the whole file synced and described by c->upload. Always true. */
bool upload_accept(struct call *c, int64_t limit, enum lane lane, bool (*handle)(struct call *c));
/* The file was moved elsewhere (or is to stay): it is the handler's. */
void upload_keep(struct upload *u);
void upload_free(struct upload *u); /* NULL is allowed */
/* on_headers of the HTTP server. */
void upload_headers(void *app, struct http_exchange *x);
/* The end of such a body: true when the exchange was one. */
bool upload_ended(struct http_exchange *x);

/* expensive.c: says in c->error which part of a read took too long, after ERROR_QUERY_LIMIT. */
void expensive_explain(struct call *c);

/* write.c: LANE_WRITE. */
void write_enter(struct call *c);

/* dispatch.c */
void dispatch(void *app, struct http_exchange *x);
/* A call with its endpoint, for an exchange; NULL: it was answered. Also sets x->app_data to the call. */
struct call *dispatch_begin(void *app, struct http_exchange *x);

/* problems.c: what is wrong as problem+json, into c->out; sets status and fields. */
void problem_answer(struct call *c);
void problem_write(struct buf *b, const struct error *e, struct str request_id, bool developer);
void problem_render(void *app, struct http_exchange *x, int status, const char *code, const char *detail_en,
                    const char *detail_ru, struct buf *body);
/* The language that an Accept-Language field asks for. */
bool problem_lang(struct str accept_language, enum lang *lang);

/* accept.c: how much a client wants something, in thousandths: from the parameters of an item, and for a
 * media type from a whole Accept field (.p == NULL: everything alike). */
int accept_quality(struct str parameters);
int accept_media(struct str accept, const char *type);

/* events.c */
struct events *events_open(struct worker *w);
void events_close(struct events *ev);
/* Somebody committed: each loop looks at the log soon. Any thread. */
void events_wake(struct app *app);

/* metrics.c */
struct meter *meter_new(struct app *app);
void meter_answer(struct meter *m, size_t endpoint, int status, uint64_t nanoseconds);
void meter_scripts(struct worker *w);
/* metrics_hooks.c: calls of scripts by where they were declared. */
void meter_hook(void *meter, const struct script_ended *call);
void meter_hooks_write(struct app *app, struct buf *b);
void meter_hooks_free(struct meter *m);

/* courier.c: starts the thread for jobs and timers. */
bool courier_open(struct app *app, struct error *e);

/* reload.c: another set of scripts, without stopping. */
bool reload_start(struct app *app, struct error *e);
void reload_stop(struct app *app);
/* Asks for a reload; returns at once. Any thread. */
void reload_ask(struct app *app);
/* True when a file of the scripts differs from the last time this was asked (--dev). Main thread. */
bool reload_changed(struct app *app);
/* The writer's `between`. */
void reload_between(void *app, void *worker, struct db *d);

#endif
