/* server.h: the HTTP/1.1 server: what the rest of Perigee sees of it.
 *
 *   socket ─► connection ─► head checked, llhttp ─► http_exchange ─► on_request ─► http_reply … http_send ─►
 * socket └ on_headers (limits, uploads)   └ or http_stream_*
 *
 * One loop thread per core, each with its own listening socket (SO_REUSEPORT) and its own connections;
 * nothing is shared between them. An exchange is one request and its answer. It belongs to the application
 * from on_request (or on_headers) until http_send or http_stream_end, which may come later, on the same loop
 * thread: another thread that has the answer hands it over with http_loop_post. Requests of one connection
 * are handled one at a time, in order.
 *
 * Unless a comment says otherwise a function is called on the loop thread that the exchange or loop belongs
 * to. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

#include <stdint.h>

struct http_server;
struct http_loop;
struct http_exchange;
struct uv_loop_s;

/* ── The request ─────────────────────────────────────────────────────────────────────────────── */

/* Every other method is answered 405 (CONNECT, TRACE) or 501 before the application is asked. */
enum http_method {
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_COUNT
};

#define HTTP_ADDRESS_TEXT 46 /* the longest IPv6 address and a NUL */

struct http_field {
    struct str name, value; /* value without white space at both ends; never holds a control byte but HTAB */
};

/* Everything here lives as long as the exchange and is read-only for the application, unless said otherwise.
 */
struct http_exchange {
    enum http_method method;
    struct str method_text;
    struct str target; /* as it came: "/api/v1/x%20y?filter=…" */
    struct str path;   /* percent-decoded, valid UTF-8 without NUL, begins with "/"; "*" for OPTIONS * */
    struct str path_raw;
    struct str query; /* behind the "?", not decoded; see http_query_next; .p == NULL: there was none */
    struct str host;  /* from the target or the Host header, with its port; may be empty in HTTP/1.0 */
    const struct http_field *fields;
    size_t fields_n;
    struct str body; /* whole, before on_request; empty when it was streamed to a sink */
    bool has_body;   /* the request announced one (Content-Length > 0 or chunked) */
    bool secure;     /* the client spoke TLS with a trusted proxy */
    bool http_1_0;
    char remote[HTTP_ADDRESS_TEXT]; /* the client's address, behind trusted proxies too */
    struct str request_id;
    int64_t body_limit;  /* writable in on_headers: bytes allowed for this request's body */
    uint64_t started;    /* clock_mono() when the head was complete */
    struct arena *arena; /* the request's memory: reset after http_send; limit: http_limits.arena_bytes */
    struct http_loop *loop;
    void *app_data; /* the application's own, NULL at first */
};

/* Text of a method: "GET" … */
struct str http_method_text(enum http_method method);

/* The first field of that name (any case); .p == NULL when there is none. */
struct str http_field(const struct http_exchange *x, struct str name);

/* Goes through "a=1&b=x%20y": cuts the first pair off *query and decodes it (%XX, "+" is a space) into
 * `arena` (or leaves it where it is). A bad escape, a NUL, bytes that are not UTF-8: HTTP_QUERY_BAD. Empty
 * pairs are skipped. */
enum http_query { HTTP_QUERY_END, HTTP_QUERY_PAIR, HTTP_QUERY_BAD, HTTP_QUERY_NO_MEMORY };
enum http_query http_query_next(struct str *query, struct arena *arena, struct str *name, struct str *value);

/* Percent-decoding alone (a "+" stays). .p == NULL for a bad escape, a NUL, bytes that are not UTF-8, no
 * memory. */
struct str http_percent_decode(struct str s, struct arena *arena);

/* The value of one cookie of the Cookie fields; .p == NULL when there is none. */
struct str http_cookie(const struct http_exchange *x, struct str name);

/* True when the entity tag is in an If-Match or If-None-Match list (or the list is "*"). `etag` has its
 * quotes. With `weak`, W/ is ignored on both sides (If-None-Match); without, only strong tags match
 * (If-Match). */
bool http_etag_listed(struct str list, struct str etag, bool weak);

/* False once it is known that the client is gone; the answer would be thrown away. */
bool http_client_there(const struct http_exchange *x);

/* ── The answer ──────────────────────────────────────────────────────────────────────────────── */

/* Begins the answer, or begins it anew: forgets fields and body given before. Always added by the server:
 * Date, Content-Length, X-Request-Id, Connection where needed, and the security headers (each only when the
 * application has not given that field itself): X-Content-Type-Options, X-Frame-Options,
 * Content-Security-Policy (nothing allowed), Referrer-Policy, Cross-Origin-Opener-Policy,
 * Cross-Origin-Resource-Policy, Cache-Control (private, no-cache), Strict-Transport-Security (when secure).
 */
void http_reply(struct http_exchange *x, int status);

/* Adds a field; copied. False, and nothing added, when the name is not a token, the value has CR, LF or
 * another control byte, the field is the server's business (Content-Length, Transfer-Encoding, Connection,
 * Date), or memory is out. Vary fields are merged with the server's own. */
bool http_reply_field(struct http_exchange *x, struct str name, struct str value);

/* The body, one of the three (the last one wins); each with its Content-Type, a string that outlives the
 * exchange.
 *
 * _buffer: a buffer of the exchange to write into: fastest for small and middling answers, its memory is used
 * again by later requests. Bound: 64 MiB; when it `failed` at http_send, a 500 goes out instead. _take: takes
 * over a malloc'd buffer (sent without a copy when large); *b is left empty. A failed one: as above. _bytes:
 * borrowed until http_send returns (static text, the arena). */
struct buf *http_reply_buffer(struct http_exchange *x, const char *content_type);
void http_reply_take(struct http_exchange *x, const char *content_type, struct buf *b);
void http_reply_bytes(struct http_exchange *x, const char *content_type, struct str bytes);

/* Bodies of text, JSON, JavaScript, SVG over 1 KiB are compressed when the client accepts gzip, except that
 * AUTO leaves an answer with a strong ETag as it is (the tag names its bytes, and clients send it back in
 * If-Match). ALWAYS compresses those too and makes the tag weak (W/"…"). Vary: Accept-Encoding is added
 * whenever the choice depended on it. */
enum http_gzip { HTTP_GZIP_AUTO, HTTP_GZIP_NEVER, HTTP_GZIP_ALWAYS };
void http_reply_gzip(struct http_exchange *x, enum http_gzip how);

/* The connection ends after this answer. */
void http_reply_close(struct http_exchange *x);

/* The status given to http_reply; 0 before. */
int http_reply_status(const struct http_exchange *x);

/* Sends the answer and ends the exchange: `x` and its arena are gone when this returns. HEAD is answered
 * without the body but with its length; 204 and 304 without both. If the client has gone, everything is
 * thrown away. */
void http_send(struct http_exchange *x);

/* ── An answer in pieces (exports, server-sent events) ───────────────────────────────────────── */

struct http_stream_events {
    /* All that was written has left for the socket, after a write that returned more than 0. May be NULL. */
    void (*on_drain)(struct http_exchange *x, void *data);
    /* The client is gone, or the server stops and the stream is endless. Later writes do nothing; the
     * application must still call http_stream_end (here or later). Not called from inside http_stream_*. May
     * be NULL. */
    void (*on_close)(struct http_exchange *x, void *data);
    void *data;
    bool endless; /* an event stream: ended at once when the server stops */
};

/* Sends status and fields given with http_reply (no body) and goes over to chunked coding (HTTP/1.0: until
 * the connection closes). The arena stays. Never compressed. *events is copied. */
void http_stream_begin(struct http_exchange *x, const char *content_type,
                       const struct http_stream_events *events);

/* The same for a body whose length is known: sent with Content-Length instead of chunks. Exactly `length`
 * bytes must be written before http_stream_end (fewer cut the connection); for HEAD none. */
void http_stream_begin_sized(struct http_exchange *x, const char *content_type, int64_t length,
                             const struct http_stream_events *events);

/* Sends bytes (borrowed; copied only if the socket is full); empty ones do nothing. Returns the bytes that
 * wait for the client: past 256 KiB or so the application should go on only after on_drain. SIZE_MAX: the
 * client is gone, and on_close is on its way or was called. */
size_t http_stream_write(struct http_exchange *x, struct str bytes);
size_t http_stream_pending(const struct http_exchange *x);

/* Ends answer and exchange: `x` is gone. _abort cuts the connection, so that the client sees that something
 * is missing. */
void http_stream_end(struct http_exchange *x);
void http_stream_abort(struct http_exchange *x);

/* ── A request body in pieces (uploads) ──────────────────────────────────────────────────────── */

struct http_body_sink {
    /* The next bytes, borrowed. May call http_body_pause, or http_reply… http_send to end it early (the
     * connection is closed then): `x` must not be touched afterwards. */
    void (*on_data)(struct http_exchange *x, void *data, struct str bytes);
    /* The client went away, took too long or broke the protocol before the end: the exchange is freed by the
     * server when this returns; there will be no on_request, and nothing must be sent. */
    void (*on_abort)(struct http_exchange *x, void *data);
    void *data;
};

/* In on_headers only: the body goes to the sink as it comes, at most x->body_limit bytes (413 past it). After
 * the last byte on_request is called as usual, with x->body empty. */
void http_body_stream(struct http_exchange *x, const struct http_body_sink *sink);

/* Back-pressure: stops reading from the client; nothing times out while paused. */
void http_body_pause(struct http_exchange *x);
void http_body_resume(struct http_exchange *x);

/* ── The server ──────────────────────────────────────────────────────────────────────────────── */

/* 0 means the default. Times are in milliseconds. */
struct http_limits {
    size_t head_bytes;     /* 16 KiB: request line and fields; 431 past it */
    size_t target_bytes;   /* 8 KiB; 414 */
    size_t fields;         /* 100 header fields; 431 */
    int64_t body_bytes;    /* 1 MiB; 413, before the body is read where the length is known */
    size_t bodies_bytes;   /* 256 MiB: bodies of all requests in memory at once; 503 past it */
    size_t arena_bytes;    /* 8 MiB: memory of one request */
    size_t connections;    /* 20,000 for the whole server; past it a connection is answered 503 and closed */
    size_t pipeline;       /* 32 requests of one connection in a row before others have their turn */
    int64_t head_ms;       /* 10 s from the first byte of a request to the end of its head; then 408 */
    int64_t body_ms;       /* 20 s: in each such span a body must grow by body_ms × 256 bytes/s; else 408 */
    int64_t idle_ms;       /* 10 s from accept to the first byte; then closed in silence */
    int64_t keep_alive_ms; /* 75 s between two requests; then closed in silence */
    int64_t write_ms; /* 30 s: in each such span a client must take write_ms × 256 bytes/s of what waits; else
                         cut */
};

struct http_callbacks {
    /* On each loop thread, before its first and after its last connection. A false return makes
     * http_server_start fail. May be NULL. */
    bool (*loop_start)(void *app, struct http_loop *loop, void **loop_data);
    void (*loop_stop)(void *app, struct http_loop *loop, void *loop_data);
    /* The head is there, the body not yet: may set x->body_limit, call http_body_stream, or answer at once
     * with http_send (the body is then not read and the connection closed). Called only for requests with a
     * body. May be NULL. */
    void (*on_headers)(void *app, struct http_exchange *x);
    /* The request is complete. Must lead to exactly one http_send, http_stream_end or http_stream_abort. */
    void (*on_request)(void *app, struct http_exchange *x);
    /* The loop has dealt with all that was there and is about to wait. May be NULL. */
    void (*on_turn)(void *app, struct http_loop *loop, void *loop_data);
    /* Writes the problem+json body of an answer that the server gives by itself (400, 408, 413, …). Of `x`
     * only request_id, remote, and what was parsed so far (fields, maybe none) are set. May add fields with
     * http_reply_field. NULL: a plain one in English. */
    void (*render_problem)(void *app, struct http_exchange *x, int status, const char *code,
                           const char *detail_en, const char *detail_ru, struct buf *body);
    /* After the last byte of an answer was handed to the socket, for the access log and measurements. May be
     * NULL. */
    void (*on_done)(void *app, const struct http_exchange *x, int status, int64_t body_bytes);
};

struct http_config {
    const char *address; /* "127.0.0.1", "::1", "0.0.0.0" */
    uint16_t port;       /* 0: any free one */
    unsigned threads;    /* 0: the number of online cores */
    struct http_limits limits;
    const struct str *trusted_proxies; /* addresses or CIDR ranges; X-Forwarded-For and -Proto are believed
                                          only from them */
    size_t trusted_proxies_n;
    struct http_callbacks callbacks;
    void *app;
};

/* Starts listening and the threads. NULL on failure, with an English sentence in `why` ("cannot listen on
 * 127.0.0.1:8080: address already in use"). Ignores SIGPIPE for the process. *config is copied. Main thread.
 */
struct http_server *http_server_start(const struct http_config *config, char *why, size_t why_size);

/* The port that it listens on. Any thread. */
uint16_t http_server_port(const struct http_server *server);
unsigned http_server_threads(const struct http_server *server);
struct http_loop *http_server_loop(struct http_server *server, unsigned index);

/* Stops accepting, closes idle connections, answers requests under way with "Connection: close", ends endless
 * streams, cuts what is left after `grace_ms`, waits for exchanges still held by the application, joins the
 * threads. Not from a loop thread. Loops stay valid for http_loop_post (which returns false) until
 * http_server_free. */
void http_server_stop(struct http_server *server, int64_t grace_ms);
void http_server_free(struct http_server *server);

/* Runs fn(arg) on the loop's thread, in order of posting; batches share one wake-up. Any thread. False when
 * the loop has stopped or memory is out: fn will not run. */
bool http_loop_post(struct http_loop *loop, void (*fn)(void *arg), void *arg);

struct uv_loop_s *http_loop_uv(struct http_loop *loop); /* for timers; close every handle in loop_stop */
void *http_loop_data(struct http_loop *loop);
void *http_loop_app(struct http_loop *loop);
unsigned http_loop_index(const struct http_loop *loop);
struct http_server *http_loop_server(struct http_loop *loop);

/* ── Counters ────────────────────────────────────────────────────────────────────────────────── */

struct http_counters {
    uint64_t connections; /* open now */
    uint64_t accepted;    /* ever */
    uint64_t refused;     /* past the limit of connections */
    uint64_t requests;    /* complete heads */
    uint64_t bytes_in, bytes_out;
    uint64_t parse_errors; /* 4xx that the server gave by itself for a broken request */
    uint64_t timeouts;
    uint64_t exchanges; /* held by the application now */
    uint64_t status[6]; /* answers by class: [2] is 2xx */
};

/* Sums over the loops (or one loop's). Any thread; each figure is exact, the set is not a snapshot. */
void http_server_counters(const struct http_server *server, struct http_counters *out);
void http_loop_counters(const struct http_loop *loop, struct http_counters *out);

#endif
