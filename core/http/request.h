/* request.h: a complete head becomes the request part of an exchange; then the body is cut into pieces.
 *
 *   head bytes ─► head_scan ─► request_parse (llhttp, our own rules) ─► body_read … ─► complete
 *
 * No sockets here: the unit tests and the fuzzer feed it directly. One thread at a time. */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "http/head.h"
#include "http/server.h"

#include <llhttp.h>

struct request {
    llhttp_t parser;
    struct http_exchange *x; /* filled by request_parse */
    size_t fields_max;
    struct http_field *fields;
    bool in_value;

    bool keep_alive;      /* as far as the client is concerned */
    bool expect_continue; /* wants "100 Continue" before it sends the body */
    bool chunked;
    uint64_t length; /* Content-Length */

    uint64_t left; /* of a body with a length */
    bool in_trailer;
    struct head_scan trailer;
    size_t trailer_left;
    size_t framing, extension; /* bytes of chunk framing in a row, of one chunk's extension */
    struct str piece;
};

/* Fills method … body_limit (not remote, secure, request_id when the client's is no good: .p == NULL) of
 * r->x. `head` is the whole head without empty lines before it, and must live as long as the exchange;
 * x->arena is set. */
enum problem request_parse(struct request *r, struct http_exchange *x, struct str head,
                           const struct head_scan *scan, const struct head_limits *limits);

/* Cuts the next piece of the body off *in. PIECE: *piece points into it, and there may be more in `in`. */
enum body_result { BODY_MORE, BODY_PIECE, BODY_END, BODY_BAD };
enum body_result body_read(struct request *r, struct str *in, struct str *piece, enum problem *problem);

/* target.c: splits r->x->target into path, query and (absolute form) host. */
enum problem target_parse(struct http_exchange *x);
/* A plausible "host[:port]". */
bool target_host_valid(struct str host);

#endif
