/* address.h: who is the client: addresses, ranges, and the fields that trusted proxies add. */
#ifndef HTTP_ADDRESS_H
#define HTTP_ADDRESS_H

#include "http/server.h"

#include <sys/socket.h>

/* An address or a range of them; IPv4 is kept in its IPv6 form (::ffff:a.b.c.d). */
struct address {
    unsigned char bytes[16];
    int prefix; /* bits that count: 0 … 128 */
};

/* "10.0.0.1", "10.0.0.0/8", "::1", "[::1]", "fd00::/8"; with `port`, also "10.0.0.1:443" and "[::1]:443". */
bool address_parse(struct str s, bool port, struct address *out);
bool address_in(const struct address *a, const struct address *range);
bool address_of_socket(const struct sockaddr *sa, struct address *out);
void address_format(const struct address *a, char out[HTTP_ADDRESS_TEXT]);

/* Sets x->remote and x->secure from the peer and, when the peer is trusted, from X-Forwarded-For (the last
 * address that is not a trusted proxy itself) and X-Forwarded-Proto. */
void address_client(struct http_exchange *x, const struct address *peer, const struct address *trusted,
                    size_t n);

#endif
