/* client.h: requests to others: libcurl's multi interface on a libuv loop.
 *
 *   http_client_send ─► easy handle ─► multi ─┬ socket callback ─► uv_poll
 *                                             └ timer callback  ─► uv_timer ─► … ─► done(result)
 *
 * Everything on the thread of the loop. TLS is always verified; HTTP(S) and SMTP(S) only; redirects are given
 * back, not followed, so that whoever asks checks the new address as it checked the first. Connections are
 * reused.
 *
 * Where a request may go is checked on the address that is really connected to, after the name was resolved,
 * so that no DNS answer leads inside: loopback, private, link-local, shared, multicast and reserved addresses
 * are refused unless a range of `open` holds them. */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "http/address.h"
#include "http/server.h"

struct uv_loop_s;
struct http_client;

struct http_client_config {
    const char *user_agent;
    const char *ca_file;        /* certificates to trust; NULL: the system's */
    const struct address *open; /* inner ranges that may be reached; borrowed */
    size_t open_n;
    unsigned connections_per_host; /* 0: 8 */
};

struct http_request {
    const char *method; /* "GET" … */
    const char *url;    /* http:// or https:// */
    const struct http_field *fields;
    size_t fields_n;
    struct str body; /* copied */
    int body_fd;     /* ≥ 0: the body is read from this file instead, from body_at, body_length bytes; */
    int64_t body_at, body_length; /* the descriptor is borrowed until done */
    int64_t timeout_ms;           /* the whole request; 0: 30 s */
    size_t response_max;          /* bytes kept; more is HTTP_TOO_LARGE; 0: 1 MiB */
    bool (*sink)(void *data, const char *p,
                 size_t n); /* takes a 2xx body piece by piece instead; false stops */
};

struct mail_part { /* an attachment */
    const char *name, *type;
    const char *path; /* of the file */
};

/* A letter by SMTP. libcurl makes the MIME structure and its encodings. */
struct mail_request {
    const char *url; /* smtp://host:587, smtps://host:465 */
    bool starttls;   /* required before anything is said; false only for a server on a trusted line */
    const char *user, *password; /* NULL: none */
    const char *from;            /* envelope; plain addresses without control bytes */
    const char *const *to;
    size_t to_n;
    const char *const *headers; /* "Subject: …", encoded (RFC 2047), without line ends */
    size_t headers_n;
    struct str text, html; /* UTF-8; html .p NULL: text only; copied */
    const struct mail_part *parts;
    size_t parts_n;
    int64_t timeout_ms;
};

enum http_outcome {
    HTTP_ANSWERED,  /* there is a status, whatever it says */
    HTTP_UNREACHED, /* name, connection, TLS, broken off: worth another try */
    HTTP_TIMED_OUT,
    HTTP_TOO_LARGE,
    HTTP_BLOCKED,    /* the address may not be reached */
    HTTP_BAD_REQUEST /* not a URL, or not one of ours */
};

struct http_result {
    enum http_outcome outcome;
    int status;        /* for mail the last SMTP reply code */
    const char *error; /* words for the log; "" when answered */
    const struct http_field *fields;
    size_t fields_n;
    struct str body;
    int64_t retry_after; /* seconds of a Retry-After field (RFC 9110 §10.2.3), -1: none */
    int64_t took_ms;
};

typedef void http_done(void *data, const struct http_result *result);

/* NULL: no memory or no libcurl. */
struct http_client *http_client_new(struct uv_loop_s *loop, const struct http_client_config *config);

/* `done` is called once, later, unless false is returned (no memory). Everything in the request but body_fd
 * is copied. */
bool http_client_send(struct http_client *client, const struct http_request *request, http_done *done,
                      void *data);
bool http_client_mail(struct http_client *client, const struct mail_request *request, http_done *done,
                      void *data);

size_t http_client_pending(const struct http_client *client);

/* Ends what is under way with HTTP_UNREACHED and closes; the loop must run once more afterwards for the
 * handles to go. NULL is allowed. */
void http_client_close(struct http_client *client);
/* After the loop has run: frees. */
void http_client_free(struct http_client *client);

/* Header field of a result; .p NULL when there is none. */
struct str http_result_field(const struct http_result *result, const char *name);

/* guard.c: may this address be reached? */
bool guard_allows(const struct address *a, const struct address *open, size_t open_n);

#endif
