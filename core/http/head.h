/* head.h: finds the end of a request's head (or of a chunked body's trailer) and refuses what no sane client
 * sends.
 *
 * It runs before llhttp and looks at bytes only: every line ends in CR LF, no line begins with white space, a
 * field name is a token directly followed by a colon, no control byte anywhere. Two readers that disagree
 * about where a message ends are what request smuggling lives on, so anything that could be read in two ways
 * ends the connection here. It may be fed piece by piece: each call gets all bytes since the start, and goes
 * on where it stopped. */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "base/str.h"
#include "http/problem.h"

struct head_limits {
    size_t bytes, target, fields;
};

struct head_scan {
    size_t pos;        /* bytes looked at */
    size_t begin;      /* where the request line starts (empty lines before it are skipped) */
    size_t first_line; /* its length once it is complete */
    size_t fields;     /* complete field lines */
    int state;
};

enum head_result { HEAD_MORE, HEAD_DONE, HEAD_BAD };

/* HEAD_DONE: s->pos is the length of the head with its empty line. HEAD_BAD: *problem says why. */
enum head_result head_scan(struct head_scan *s, struct str bytes, const struct head_limits *limits,
                           enum problem *problem);

void head_scan_start(struct head_scan *s);
/* The same for a trailer: field lines up to an empty line, no request line. */
void head_scan_start_trailer(struct head_scan *s);

/* A character of a token (RFC 9110 §5.6.2). */
bool head_is_token(unsigned char c);

#endif
