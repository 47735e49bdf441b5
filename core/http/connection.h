/* connection.h: what the files of the server share: loop, connection and exchange. Nobody outside core/http
 * includes it.
 *
 *   http_server ─► http_loop × threads ─► connection × clients ─► exchange × 1 (while a request is under way)
 *
 * An idle connection is only `struct connection`: no buffer, no parser, no exchange. Bytes are read into the
 * loop's one read buffer and parsed there; answers are collected in the loop's one write buffer and leave
 * with one write for all the requests of a pass. Only what the socket does not take, or a request that is not
 * complete, is copied and kept. */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H

#include "http/address.h"
#include "http/request.h"
#include "http/server.h"

#include <stdatomic.h>
#include <uv.h>

#define READ_BUFFER (64 * 1024)
#define WRITE_BUFFER (64 * 1024)  /* collected before it is flushed */
#define WRITE_BLOCKED (64 * 1024) /* waiting for the client: no further request is begun */
#define PENDING_MAX (64 * 1024)   /* read ahead of a busy connection */
#define REPLY_MAX (64 * 1024 * 1024)
#define KEEP_BUFFER (32 * 1024) /* larger buffers of an exchange are freed with it */
#define GZIP_BOUND (8 * 1024 * 1024)
#define KEEP_EXCHANGES 128 /* free ones kept by a loop */
#define SLOW_BYTES_PER_SECOND 256
#define LINGER_MS 1000 /* reads on after the last answer, so that no reset destroys it on its way */

/* What a connection waits for; each has one constant timeout, so each list is in order of its deadlines. */
enum wait {
    WAIT_NOTHING,
    WAIT_FIRST,
    WAIT_KEEP_ALIVE,
    WAIT_HEAD,
    WAIT_BODY,
    WAIT_WRITE,
    WAIT_LINGER,
    WAIT_COUNT
};

enum connection_state {
    CONNECTION_HEAD,   /* between requests or inside a head */
    CONNECTION_BODY,   /* the exchange's body is being read */
    CONNECTION_BUSY,   /* the application has the exchange */
    CONNECTION_LAST,   /* nothing more is read; closed when everything is written */
    CONNECTION_LINGER, /* our side is shut, what still comes is thrown away */
    CONNECTION_CLOSED  /* uv_close was called */
};

struct exchange;

struct connection {
    uv_tcp_t handle;
    struct http_loop *loop;
    struct exchange *exchange;
    struct connection *wait_next, *wait_prev;
    struct connection *all_next, *all_prev;
    struct connection *turn_next; /* in loop->turn: has input left, others go first */
    uint64_t wait_since;          /* uv_now, ms */
    uint64_t wait_mark;           /* bytes moved when the span began */
    uint64_t moved;               /* bytes of bodies read and of answers written or queued */
    struct buf pending;           /* input not yet used */
    size_t pending_off;
    struct head_scan scan;
    struct address peer;
    unsigned writes; /* uv_write requests under way */
    uint8_t state, wait;
    bool processing, reading, eof, in_turn, served;
    bool polite;   /* the client said "Connection: close": no need to linger */
    bool was_body; /* closed while the body was being read */
};

struct wait_list {
    struct connection *first, *last;
    uint64_t timeout;
};

enum reply_body { REPLY_NONE, REPLY_BUFFER, REPLY_TAKEN, REPLY_BORROWED };

struct exchange {
    struct http_exchange pub;      /* first: the application's pointer is ours */
    struct connection *connection; /* NULL: the client is gone */
    struct exchange *next;         /* free list */
    struct arena arena;
    struct request request;
    struct buf body;
    struct http_body_sink sink;
    bool has_sink, paused;

    int status;
    struct buf fields; /* serialised header fields of the answer */
    struct buf buffer, taken;
    struct str borrowed, etag, vary;
    const char *content_type;
    enum reply_body reply_body;
    enum http_gzip gzip;
    unsigned given; /* which of the default fields the application has set itself: a bit each */
    bool close, has_encoding;
    int64_t received; /* body bytes */
    size_t buffered;  /* of them in `body`: counted in the loop's sum */

    struct http_stream_events events;
    int64_t length; /* of a stream whose length is known; -1: it is not */
    bool streaming, chunked, want_drain;
    bool late, ended; /* on_close is posted; the stream was ended meanwhile */
    int64_t sent;     /* body bytes */
};

struct posted {
    void (*fn)(void *arg);
    void *arg;
};

/* Written by the loop's thread only. */
struct counters {
    _Atomic uint64_t connections, accepted, refused, requests, bytes_in, bytes_out, parse_errors, timeouts,
        exchanges, status[6];
};

struct http_loop {
    uv_loop_t uv;
    uv_thread_t thread;
    uv_tcp_t listener;
    uv_async_t wake;
    uv_timer_t timer, stop_timer;
    uv_idle_t turn_idle;
    uv_prepare_t turn_end;
    struct http_server *server;
    void *data;
    unsigned index;
    bool stopping, forced;

    struct wait_list waits[WAIT_COUNT];
    struct connection *all;
    struct connection *turn_first, *turn_last;
    struct exchange *free_exchanges;
    unsigned free_count;

    char *read_buffer;
    struct buf out;               /* answers of the pass under way … */
    struct connection *out_owner; /* … of this connection */
    struct buf gzip_out;
    void *deflate; /* z_stream, made when first needed */

    size_t buffered; /* bytes of request bodies in memory */

    int64_t date_second;
    char date[48]; /* "Date: …\r\n" */
    uint64_t id_state;

    uv_mutex_t lock; /* guards the three below */
    struct posted *posted;
    size_t posted_n, posted_cap;
    bool closed;
    struct posted *posted_spare; /* the other half of the double buffer; loop thread */
    size_t spare_cap;

    struct counters counters;
};

struct http_server {
    struct http_config config;
    struct address *trusted;
    struct http_loop *loops;
    unsigned threads;
    uint16_t port;
    bool stopped;
    _Atomic int64_t grace_ms;
    _Atomic uint64_t open; /* connections of all loops */
};

static inline void count(_Atomic uint64_t *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}
static inline struct exchange *exchange_of(const struct http_exchange *x)
{
    return (struct exchange *)(uintptr_t)x;
}

/* loop.c */
bool loop_init(struct http_loop *loop, struct http_server *server, unsigned index);
bool loop_listen(struct http_loop *loop, const struct sockaddr *address, int *uv_error);
void loop_run(void *arg);                                       /* thread body */
void loop_begin_stop(struct http_loop *loop, int64_t grace_ms); /* loop thread */
void loop_check_stop(struct http_loop *loop);
void loop_free(struct http_loop *loop);
const char *loop_date(struct http_loop *loop, size_t *n);
uint64_t loop_random(struct http_loop *loop);

/* wait.c: timeouts */
void wait_init(struct http_loop *loop);
void wait_set(struct connection *c, enum wait wait); /* restarts even when it is the same */
void wait_turn(struct connection *c);                /* comes to its turn again after the others */
void wait_forget_turn(struct connection *c);
uint64_t wait_progress(const struct connection *c); /* bytes that have really moved */

/* connection.c */
void connection_accept(uv_stream_t *listener, int status);
void connection_process(struct connection *c, struct str *in);
void connection_resume(struct connection *c); /* goes on with what is pending */
void connection_close(struct connection *c);
void connection_expired(struct connection *c, enum wait wait);
void connection_free_all(struct http_loop *loop, bool forced); /* at stop: the idle ones, or all */
void connection_problem(struct connection *c, enum problem problem);
void connection_update_wait(struct connection *c);
void connection_reading(struct connection *c, bool on);
void connection_exchange_done(struct connection *c, bool keep);
void connection_drained(struct connection *c);

/* output.c: bytes to the socket */
struct buf *output_begin(struct connection *c); /* the loop's buffer, made ready for this connection */
void output_flush(struct connection *c);
/* Sends what was collected, then `pieces`; with `owned`, the last piece is that buffer's memory and is taken
 * over. */
void output_send(struct connection *c, const struct str *pieces, size_t n, struct buf *owned);
size_t output_pending(const struct connection *c);

/* exchange.c */
struct exchange *exchange_new(struct http_loop *loop);
void exchange_free(struct exchange *x);
void exchange_request_id(struct exchange *x);

/* response.c */
/* Appends status line and fields. length < 0: chunked, or until the end of the connection. */
void response_head(struct exchange *x, struct buf *out, int64_t length, bool keep, const char *encoding);
bool response_may_keep(const struct exchange *x);

/* gzip.c */
bool gzip_accepted(const struct http_exchange *x);
bool gzip_type(const char *content_type);
/* Into loop->gzip_out; false when it did not become smaller or failed. */
bool gzip_deflate(struct http_loop *loop, struct str in);
void gzip_free(struct http_loop *loop);

#endif
